"""Where a stream goes back to after a deep reorganisation."""

import json

import pytest

from tests.benches import Bench
from tests.conftest import Database


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def test_a_rewind_never_settles_blocks_that_were_not_read(bench: Bench) -> None:
    # The anchors of a pass are stored with its first page, long before it has settled so far.
    bench.step()
    known = [[block, bench.source.hash_of(block).hex()] for block in (50, 94)]
    bench.set(f"settled_block = 30, next_block = 31, anchors = '{json.dumps(known)}'")
    bench.source.fork_at = 60
    settled: list[int] = []
    bench.unit.after["close"] = lambda: settled.append(bench.stream()["settled_block"])
    bench.rig.ask()

    first, *_ = bench.step()

    assert first.outcome == "rewound"
    assert settled == [30]
    assert bench.holds_what_the_provider_says()


def test_a_rewind_goes_back_to_the_newest_block_that_both_chains_share(bench: Bench) -> None:
    bench.step()
    known = [[block, bench.source.hash_of(block).hex()] for block in (10, 50, 94)]
    bench.set(f"anchors = '{json.dumps(known)}'")
    bench.source.fork_at = 60
    settled: list[int] = []
    bench.unit.after["close"] = lambda: settled.append(bench.stream()["settled_block"])
    bench.rig.ask()

    bench.step()

    assert settled == [50]
