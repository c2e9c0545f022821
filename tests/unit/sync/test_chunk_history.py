"""Chains that reorganise and providers that contradict themselves, one chunk at a time."""

import json

import pytest

from shared.emulator.faults import FaultPlan, fault
from shared.emulator.world import World, WorldConfig
from tests import truth
from tests.benches import ROWS, Bench, gone
from tests.conftest import Database
from tests.rigs import LIMITS, Rig, coin_row


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def grown(bench: Bench, heads: list[int]) -> None:
    """Sync once at each of these heads."""
    for head in heads:
        bench.source.newest = head
        bench.rig.ask()
        assert bench.step()[-1].outcome == "done"
        bench.database.advance(60)


def test_a_deep_reorganisation_goes_back_to_the_newest_shared_anchor(bench: Bench) -> None:
    bench.source.rows = [coin_row(block) for block in range(1, 140, 3)]
    grown(bench, [50, 100, 140])
    # Anchors at 44, 94 and 134; the fork begins between the last two.
    bench.source.fork_at = 110
    bench.source.rows = [row for row in bench.source.rows if row.block < 110] + [coin_row(120, 7)]
    bench.rig.ask()

    first, second = bench.step()

    assert (first.outcome, first.state, first.pages) == ("rewound", "pending", 0)
    assert first.error is not None
    assert "block 94" in first.error[1]
    assert second.outcome == "done"
    assert bench.holds_what_the_provider_says()
    now = bench.stream()
    assert (now["settled_block"], now["error_code"]) == (134, None)
    assert [block for block, _ in json.loads(now["anchors"])] == [44, 94, 134]


def test_a_chain_that_shares_nothing_is_read_from_the_beginning(bench: Bench) -> None:
    grown(bench, [50, 100])
    bench.source.fork_at = 0
    bench.source.rows = [coin_row(3, amount=9)]
    bench.rig.ask()

    first, second = bench.step()

    assert (first.outcome, second.outcome) == ("rewound", "done")
    assert bench.holds_what_the_provider_says()


def test_a_reorganisation_during_a_pass_is_noticed_by_its_next_chunk(bench: Bench) -> None:
    bench.source.rows = [coin_row(block) for block in range(1, 95)]
    bench.source.takes_s = 2.0
    [chunk] = bench.step(box_s=10.0)
    assert chunk.outcome == "unfinished"
    assert bench.held()

    bench.source.fork_at = 2
    bench.source.rows = [coin_row(1), coin_row(50, amount=8)]
    bench.database.advance(60)
    chunks = bench.step()

    assert [each.outcome for each in chunks] == ["rewound", "done"]
    assert bench.holds_what_the_provider_says()


def test_a_contradiction_is_read_twice_and_then_stops_the_stream(bench: Bench) -> None:
    bench.source.rows = [coin_row(94), coin_row(98)]
    bench.step()
    before = bench.held()
    bench.source.rows = [coin_row(94, amount=6), coin_row(98)]
    bench.rig.ask()

    [first] = bench.step()
    assert (first.outcome, first.state) == ("snoozed", "snoozed")
    bench.database.advance(1000)
    [second] = bench.step()

    assert (second.outcome, second.state) == ("stopped", "stopped")
    assert second.error is not None
    assert second.error[0] == "history_changed"
    assert "block 94" in second.error[1]
    assert bench.held() == before
    assert bench.step() == []


def test_one_answer_that_lied_about_a_settled_block_does_no_harm(bench: Bench) -> None:
    bench.source.rows = [coin_row(94), coin_row(98)]
    bench.step()
    true_rows = bench.source.rows
    bench.source.rows = [coin_row(98)]
    bench.rig.ask()
    [lied] = bench.step()
    assert lied.state == "snoozed"

    bench.source.rows = true_rows
    bench.database.advance(1000)
    [chunk] = bench.step()

    assert chunk.outcome == "done"
    assert bench.stream()["error_code"] is None
    assert bench.holds_what_the_provider_says()


def test_a_stopped_contradiction_is_read_from_the_beginning_when_asked_for(bench: Bench) -> None:
    bench.source.rows = [coin_row(94), coin_row(98)]
    bench.step()
    bench.source.rows = [coin_row(90), coin_row(94, amount=6)]
    for _ in range(2):
        bench.database.advance(1000)
        bench.step()
    assert bench.stream()["state"] == "stopped"

    bench.rig.ask()
    [chunk] = bench.step()

    assert chunk.outcome == "done"
    assert bench.holds_what_the_provider_says()


def test_a_row_s_own_block_hash_serves_where_the_provider_tells_none(bench: Bench) -> None:
    bench.source.tells_hashes = False
    bench.source.rows = [coin_row(block, block_hash=bytes([block] * 32)) for block in (5, 60, 98)]

    bench.step()

    # The newest row that is settled; the one in the tail may still change.
    assert json.loads(bench.stream()["anchors"]) == [[60, bytes([60] * 32).hex()]]


def test_without_any_hash_the_anchor_stays_unknown(bench: Bench) -> None:
    bench.source.tells_hashes = False

    bench.step()

    now = bench.stream()
    assert (now["anchors"], now["settled_block"]) == ("[]", 94)


def test_the_settled_block_never_falls_when_the_depth_grows(bench: Bench) -> None:
    bench.step()
    bench.source.limit = LIMITS._replace(settle_depth=50)
    bench.rig.ask()

    bench.step()

    assert bench.stream()["settled_block"] == 94
    assert bench.holds_what_the_provider_says()


def test_somebody_who_asks_during_a_chunk_is_not_forgotten(bench: Bench) -> None:
    def ask(what: str) -> None:
        if what.startswith("fetch"):
            bench.source.hook = lambda _: None
            bench.database.clock.advance(1)
            bench.rig.ask()
            bench.source.newest += 1

    bench.source.hook = ask

    first, second = bench.step()

    assert (first.outcome, second.outcome) == ("done", "done")
    assert bench.standing().due_in_s > 100


def test_nobody_asking_it_is_due_again_after_the_refresh(bench: Bench) -> None:
    bench.step()
    assert 300 * 0.7 <= bench.standing().due_in_s <= 300 * 1.3
    assert bench.step() == []

    bench.source.rows = [*ROWS, coin_row(97, tx=5)]
    bench.database.advance(300 * 1.3)

    assert [chunk.inserted for chunk in bench.step()] == [1]


def test_a_hash_that_was_not_told_once_does_not_hide_a_deep_reorganisation(
    database: Database,
) -> None:
    world = World(0, WorldConfig(wallets=1, coins=1, blocks=40))
    # The second call asks for the hash of the block that the first pass settles to.
    plan = FaultPlan(script={2: fault("null_result")})
    rig = Rig(database, world, plan=plan)
    ids = rig.watch()
    rig.step(ids)
    world.reorg(20)
    world.grow(1)

    for _ in range(3):
        database.advance(60)
        rig.ask()
        rig.step(ids)

    states = {row.state for row in truth.streams(database.engine, world.wallets[0], 1)}
    assert states == {"up_to_date"}
    truth.assert_ledger_is_true(database.engine, world, world.wallets[0], 1)


@pytest.mark.parametrize("asked", ["head", "hash 114"])
def test_a_new_anchor_vouches_for_nothing_that_was_read_before_a_fork(
    bench: Bench, asked: str
) -> None:
    """The chain forks, deeper than it settles, just as a pass takes its head or its anchor."""
    bench.source.rows = [coin_row(block) for block in range(1, 90, 3)]
    grown(bench, [100])
    bench.source.newest = 120

    def reorganise(what: str) -> None:
        if what == asked:
            bench.source.fork_at = 50
            bench.source.rows = [*bench.source.rows[:16], coin_row(60, 7), coin_row(80, 7)]

    bench.source.hook = reorganise
    for _ in range(3):
        bench.rig.ask()
        bench.step()
        bench.database.advance(60)

    assert bench.holds_what_the_provider_says()
    assert bench.stream()["synced_block"] == 120


def test_a_contradiction_found_at_the_second_try_stops_the_stream_too(bench: Bench) -> None:
    bench.source.rows = [coin_row(block) for block in (5, 15, 94)]
    grown(bench, [100])
    assert bench.stream()["settled_block"] == 94
    bench.source.rows = [coin_row(5), coin_row(15), coin_row(94, 9, amount=77)]
    bench.source.newest = 130
    bench.rig.ask()

    # The answer to the first try is lost; the second, a moment later, is told the truth.
    outcomes = []
    for _ in range(3):
        bench.unit.before["page"] = gone
        outcomes += [chunk.outcome for chunk in bench.step()]
        bench.database.advance(1_000)

    assert "done" not in outcomes
    now = bench.stream()
    assert (now["state"], now["error_code"]) == ("stopped", "history_changed")
    assert now["settled_block"] == 94
