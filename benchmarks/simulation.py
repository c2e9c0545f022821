"""How many simulated schedules a core gets through in a second."""

import time

from benchmarks.harness import Measure, limit
from tests.simulation.schedule import Schedule

SEEDS = range(40)


def run() -> list[Measure]:
    """The measures of this file."""
    began = time.process_time()
    for seed in SEEDS:
        Schedule(seed).run()
    rate = len(SEEDS) / (time.process_time() - began)
    return [limit("simulated schedules a second of a core", rate, "schedules", least=100)]
