"""How much of a box is used while there is work left, and whether a run ever returns too late."""

import statistics
import time

from benchmarks import provider
from benchmarks.harness import Measure, limit, postgres
from benchmarks.sync import erc20_stream, runtime
from shared.clock import Deadline

ROWS, LATENCY_S = 1_000_000, 0.05
BOX_S, BOXES = 5.0, 6


def run() -> list[Measure]:
    """The measures of this file."""
    took_s = []
    with postgres() as engine, provider.serving(ROWS, LATENCY_S) as url:
        database = engine.url.render_as_string(hide_password=False)
        for _ in range(BOXES):
            # Each box in an engine that knows nothing yet, as after a cold start.
            with runtime(database, url, fetch_ahead=2) as product:
                stream_id, sync = erc20_stream(product), product.sync
                began = time.perf_counter()
                report = sync.step([stream_id], Deadline.after(product.clock, BOX_S))
                took_s.append(time.perf_counter() - began)
            assert report.chunks[-1].outcome == "unfinished", report
    what = f"{BOXES} boxes of {BOX_S:g} s at 50 ms a page"
    used = 100 * statistics.mean(took_s) / BOX_S
    return [
        limit(f"{what}, used of the whole box", used, "%", least=95),
        limit(f"{what}, the last return", 100 * max(took_s) / BOX_S, "% of box", most=100),
    ]
