"""``make bench``: every ratio in one run; the table goes to docs/performance.md."""

import importlib
import os
import platform
import sys
from pathlib import Path

from benchmarks.harness import Measure, show

BENCHMARKS = (
    "write_path",
    "sync",
    "memory",
    "box",
    "history",
    "serving",
    "cold_start",
    "cold_bundle",
    "upstash",
    "simulation",
)
LIMITS = Path(__file__).parent / "limits.md"
REPORT = Path(__file__).parent.parent / "docs" / "performance.md"


def main() -> int:
    """Run those named, or all; only a run of all writes the report."""
    chosen = sys.argv[1:] or list(BENCHMARKS)
    measures: list[Measure] = []
    for name in chosen:
        for measure in importlib.import_module(f"benchmarks.{name}").run():
            show(measure)
            measures.append(measure)
    if chosen == list(BENCHMARKS):
        REPORT.write_text(report(measures), encoding="utf-8")
    return 0


def report(measures: list[Measure]) -> str:
    """The table as a page."""
    lines = [
        "# Performance",
        "",
        "Written by `make bench`. Each line holds ours against a floor measured in the same run, in"
        " turns: read the ratios, not the absolute numbers.",
        "",
        f"Python {platform.python_version()}, {os.cpu_count()} cores, Postgres beside it.",
        "",
        "| what | ours | floor | ratio | aim | met |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {each.what} | {each.ours} | {each.floor} | {each.ratio:.2f} | {each.aim} |"
        f" {'yes' if each.met else '**no**'} |"
        for each in measures
    ]
    return "\n".join(lines) + "\n" + LIMITS.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
