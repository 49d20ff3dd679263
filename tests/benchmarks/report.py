"""What every benchmark shares: paired timing, and a table of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the report: ours and the peer's median, in ``unit``, and the ratio that the design allows.

    ``at_most`` is the budget for ours/peer; for ``higher_is_better`` rows it is the least that ours/peer should be.
    """

    what: str
    ours: float
    peer: float
    unit: str
    at_most: float
    higher_is_better: bool = False

    @property
    def ratio(self) -> float:
        """Ours over the peer's."""
        return self.ours / self.peer

    @property
    def within(self) -> bool:
        """Is the budget kept?"""
        return self.ratio >= self.at_most if self.higher_is_better else self.ratio <= self.at_most


def timed(action: Callable[[], object]) -> float:
    """The seconds that ``action`` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def paired(ours: Callable[[], object], peer: Callable[[], object], runs: int = 10) -> tuple[float, float]:
    """Median seconds of both, run in turn (A B A B …) after one warm-up each, so that noise meets both alike."""
    ours()
    peer()
    pairs = [(timed(ours), timed(peer)) for _ in range(runs)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def table(rows: Iterable[Row]) -> str:
    """The report as text."""
    lines = [f"{'what':<58} {'ours':>12} {'peer':>12} {'ratio':>7} {'budget':>8}"]
    for row in rows:
        sign = "≥" if row.higher_is_better else "≤"
        verdict = "" if row.within else "  missed"
        lines.append(
            f"{row.what:<58} {row.ours:>8.1f}{row.unit:>4} {row.peer:>8.1f}{row.unit:>4} "
            f"{row.ratio:>6.2f}x {sign}{row.at_most:>6.2f}x{verdict}"
        )
    return "\n".join(lines)
