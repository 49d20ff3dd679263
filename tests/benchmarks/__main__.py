"""``make bench [ONLY=name]``: every benchmark, or the named ones, as one table."""

from __future__ import annotations

import importlib
import os
import sys

from tests.benchmarks.report import Row, table

BENCHMARKS = ("runtime", "run", "many", "throughput", "pull", "moving", "build", "networks", "registry")


def main(names: list[str]) -> None:
    """Run the named benchmarks (all of them when none is named) and print the table."""
    if os.geteuid() != 0:
        raise SystemExit("the benchmarks start containers, and that needs root")
    rows: list[Row] = []
    for name in names or BENCHMARKS:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"tests.benchmarks.{name}").measure()
    print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
