"""`python -m tests.second_try`: the few tests that failed in a run of the whole suite are run again, alone.

What fails twice is broken; what passes now is told, and is not red; docs/decisions/0062-a-second-try.md says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import LEFT_BEHIND

A_FEW = 3
CACHE = Path(".pytest_cache/v")


def _noted(cache: Path, key: str) -> Any:
    """What pytest wrote under a key; nothing where it did not come to write."""
    file = cache / key
    return json.loads(file.read_text()) if file.exists() else []


def failed(cache: Path = CACHE) -> list[str]:
    """The tests that failed in the last run.

    :raises SystemExit: none did, for the run itself went wrong; too many did; the host was not left as it was.
    """
    if left := _noted(cache, LEFT_BEHIND):
        raise SystemExit(f"no second try: the run left {', '.join(left)} behind on the host")
    names = sorted(_noted(cache, "cache/lastfailed"))
    if not 0 < len(names) <= A_FEW:
        raise SystemExit(f"no second try: {len(names)} tests failed, and it is for 1 to {A_FEW}")
    if unread := [name for name in names if "::" not in name]:
        raise SystemExit(f"no second try: pytest could not read {', '.join(unread)}, and ran nothing")
    return names


def main() -> None:
    """Run them again."""
    names = failed()
    print("a second try of", *names, sep="\n  ", flush=True)
    if subprocess.run([sys.executable, "-m", "pytest", *names]).returncode:
        raise SystemExit("failed twice")
    print("failed once and passed at the second try:", *names, sep="\n  ")


if __name__ == "__main__":
    main()
