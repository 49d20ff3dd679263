"""A bundle becomes a process: steps, runtime, launcher, shim, exec."""

import sys

# msgspec takes two names from typing_extensions if it is installed, from typing otherwise. On Python 3.11 and newer
# they are the same; but loading typing_extensions takes 10 ms.
if "msgspec" not in sys.modules and "typing_extensions" not in sys.modules:
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # "there is no such module" (import system)
    import msgspec  # noqa: F401

    del sys.modules["typing_extensions"]
