"""What was found, as a table to read, a chart to look at, and a file to compare."""

import json
import os
import platform
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"

# What must hold: at least (+) or at most (-).
TARGETS = {
    "http_read": 0.30, "http_mark": 0.60, "http_event": 0.50, "http_batch_20": 0.85, "http_batch_100": 0.90,
    "rls_filtered": -1.3, "rls_own": -2.0, "report_growth": -1.3, "report_vs_guide": 25.0,
    "counters_cpu": -1.15, "counters_16": 0.9, "memory_64": -150.0, "recount": -0.0,
    "postgraphile_read": 2.5, "postgraphile_mark": 2.0,
}  # fmt: skip
MEANING = {
    "sign_in": "of hashing passwords alone on every core",
    "rls_filtered": "times without row security",
    "rls_own": "times without row security",
    "report_growth": "times a thousandth of the answers",
    "report_vs_guide": "times faster than the guide's query",
    "counters_cpu": "times the CPU without counting",
    "counters_cpu_20": "times the CPU without counting",
    "counters_16": "of the throughput without counting",
    "start_import": "seconds",
    "start_warm": "seconds",
    "memory_rest": "MB",
    "memory_64": "MB",
    "recount": "differences",
    "postgraphile_read": "times PostGraphile's requests",
    "postgraphile_mark": "times PostGraphile's requests",
}


@dataclass
class Row:
    """One thing that was measured, round by round."""

    name: str
    ratios: list[float] = field(default_factory=list)
    facts: dict[str, list[float]] = field(default_factory=dict)

    def add(self, ratio: float, **facts: float) -> None:
        """A round's finding."""
        self.ratios.append(ratio)
        for name, value in facts.items():
            self.facts.setdefault(name, []).append(value)

    @property
    def ratio(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.ratios)

    @property
    def holds(self) -> bool | None:
        """Is the target kept? None where there is none."""
        target = TARGETS.get(self.name)
        if target is None:
            return None
        return self.ratio >= target if target > 0 else self.ratio <= -target

    def as_json(self) -> dict[str, Any]:
        """For the file: the median, the lowest and the highest, and the medians of what belongs to it."""
        target = TARGETS.get(self.name)
        return {
            "name": self.name,
            "ratio": round(self.ratio, 3),
            "low": round(min(self.ratios), 3),
            "high": round(max(self.ratios), 3),
            "meaning": MEANING.get(self.name, "of the limit"),
            **({} if target is None else {"at_least" if target > 0 else "at_most": abs(target)}),
            **{name: round(statistics.median(values), 2) for name, values in self.facts.items()},
        }


def write(rows: list[Row], world: dict[str, Any], name: str = "latest") -> None:
    """The table on the screen; ``NAME.json`` and ``NAME.svg`` beside the benchmarks."""
    table = Table(title="medians of the rounds, lowest and highest")
    for title in ("", "ratio", "low", "high", "must be", "", "a second", "the limit's", "p50 ms", "p99 ms", "CPU µs",
                  "PostgreSQL's"):  # fmt: skip
        table.add_column(title, justify="left" if title == "" else "right")
    for row in rows:
        said = row.as_json()
        target = TARGETS.get(row.name)
        must = "" if target is None else f"{'≥' if target > 0 else '≤'} {abs(target):g}"
        keys = ("per_second", "limit_per_second", "p50_ms", "p99_ms", "cpu_us", "database_cpu_us")
        table.add_row(
            row.name, f"{row.ratio:.3f}", f"{said['low']:.3f}", f"{said['high']:.3f}", must,
            {True: "holds", False: "MISSED", None: ""}[row.holds],
            *(f"{said[key]:,.1f}" if key in said else "" for key in keys),
        )  # fmt: skip
    Console(width=150).print(table)
    RESULTS.mkdir(exist_ok=True)
    page = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.machine(),
        },
        "world": world,
        "rows": [row.as_json() for row in rows],
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(page, indent=1) + "\n")
    (RESULTS / f"{name}.svg").write_text(_chart([row for row in rows if row.name not in MEANING]))


def _chart(rows: list[Row]) -> str:
    """Bars of the limit: the median, a line from the lowest to the highest, a mark where it must reach."""
    wide, line = 520, 24
    parts = []
    for place, row in enumerate(rows):
        top = 30 + place * line
        low, high = min(row.ratios) * wide, max(row.ratios) * wide
        target = TARGETS.get(row.name)
        colour = "#b42318" if row.holds is False else "#1f6f54"
        parts.append(
            f'<text x="150" y="{top + 13}" text-anchor="end">{escape(row.name)}</text>'
            f'<rect x="160" y="{top}" width="{row.ratio * wide:.1f}" height="16" fill="{colour}"/>'
            f'<path d="M{160 + low:.1f} {top + 8}H{160 + high:.1f}" stroke="#111" stroke-width="2"/>'
            f'<text x="{168 + max(high, row.ratio * wide):.1f}" y="{top + 13}">{row.ratio:.2f}</text>'
        )
        if target:
            parts.append(
                f'<path d="M{160 + target * wide:.1f} {top - 3}v22" stroke="#b54708" stroke-width="3"/>'
            )
    height = 40 + len(rows) * line
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="sans-serif" font-size="13">'
        f'<rect width="760" height="{height}" fill="#fff"/>'
        f'<text x="160" y="18">share of the limit (pgbench, the same statements); orange: must reach</text>'
        f'<path d="M{160 + wide} 24V{height - 8}" stroke="#999" stroke-dasharray="4 3"/>{"".join(parts)}</svg>\n'
    )
