"""What the process that syncs holds in memory while a long history goes through it.

``python -m benchmarks.memory DATABASE_URL PROVIDER_URL`` is that process.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks import provider
from benchmarks.harness import Measure, limit, postgres
from benchmarks.sync import erc20_stream, runtime
from shared.clock import Deadline

ROWS = 1_000_000
MARKS = (100_000, 200_000, 500_000, 1_000_000)
LOOK_EVERY_S = 0.1
STORED = text("SELECT coalesce(sum(movements), 0) FROM tallybook.balance")


def sync(database_url: str, provider_url: str) -> None:
    """All of it in one run, with the product's own number of fetches ahead."""
    with runtime(database_url, provider_url) as product:
        product.sync.step([erc20_stream(product)], Deadline.after(product.clock, 600))


def resident_mb(process_id: int, field: str) -> float:
    """A number of the process's status in megabytes; 0 when it is gone."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else 0.0


def watched(engine: Engine, process: "subprocess.Popen[bytes]") -> tuple[dict[int, float], float]:
    """Megabytes when each mark was passed, and the most there ever were."""
    at_mark: dict[int, float] = {}
    most = 0.0
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while process.poll() is None:
            stored = int(connection.execute(STORED).scalar_one())
            now = resident_mb(process.pid, "VmRSS")
            most = max(most, resident_mb(process.pid, "VmHWM"))
            for mark in MARKS:
                if stored >= mark and now:
                    at_mark.setdefault(mark, now)
            time.sleep(LOOK_EVERY_S)  # noqa: TID251 - another process takes real time
        assert int(connection.execute(STORED).scalar_one()) == ROWS
    return at_mark, most


def run() -> list[Measure]:
    """The measures of this file."""
    with postgres() as engine, provider.serving(ROWS, 0) as url:
        database = engine.url.render_as_string(hide_password=False)
        command = [sys.executable, "-m", "benchmarks.memory", database, url]
        with subprocess.Popen(command) as process:  # noqa: S603 - ours
            at_mark, most = watched(engine, process)
    grown = most - at_mark[200_000]
    what = f"memory of a sync of {ROWS:,} rows"
    return [
        limit(f"{what}, at most", most, "MB", most=150),
        limit(f"{what}, growth after 200,000", grown, "MB", most=10),
    ]


if __name__ == "__main__":
    sync(*sys.argv[1:])
