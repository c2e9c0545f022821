"""One leased turn of one stream: what it asks, what it writes, and how it ends."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from schema.engine import autocommit
from shared.clock import Deadline, SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.world import World
from shared.errors import SourceTimeoutError, SourceUnsupportedError, StorageError
from shared.heads import KEPT_S
from shared.http_client import HttpxClient
from shared.settings import Settings, SourceOptions
from shared.sources import registry
from tests.benches import ROWS, Bench, gone
from tests.conftest import Database
from tests.rigs import COIN, LIMITS, ListSource, coin_row


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def test_a_history_is_read_to_its_head_and_settled_behind_it(bench: Bench) -> None:
    [chunk] = bench.step()

    assert (chunk.outcome, chunk.state, chunk.error) == ("done", "up_to_date", None)
    assert (chunk.inserted, chunk.deleted) == (len(ROWS), 0)
    assert bench.holds_what_the_provider_says()
    now = bench.stream()
    assert (now["settled_block"], now["synced_block"], now["pass_head"]) == (94, 100, None)
    assert json.loads(now["anchors"]) == [[94, bench.source.hash_of(94).hex()]]


def test_a_history_of_nothing_is_complete(bench: Bench) -> None:
    bench.source.rows = []

    [chunk] = bench.step()

    assert (chunk.outcome, chunk.inserted) == ("done", 0)
    assert bench.stream()["synced_block"] == 100


def test_the_next_request_is_under_way_while_a_page_is_written(bench: Bench) -> None:
    bench.source.hook = bench.unit.labels.append
    bench.step()

    told = [label for label in bench.unit.labels if label == "page" or label.startswith("fetch")]
    assert told.index("fetch 0 page 2 of 10") < told.index("page")
    assert told.count("page") == 3


def test_what_a_block_held_back_says_of_its_assets_is_not_lost(bench: Bench) -> None:
    other = COIN._replace(contract=b"o" * 20)
    last = coin_row(50)
    drafts = (last.drafts[0]._replace(asset=other),)
    # The tenth row is held back, and written with an answer that does not name its asset.
    bench.source.rows = [*(coin_row(block) for block in range(9)), last._replace(drafts=drafts)]
    bench.source.rows += [coin_row(block) for block in range(60, 65)]

    bench.step()

    assert bench.assets() == [("erc20", "SYM", "Name", 6)] * 2


def test_an_asset_of_which_nothing_is_said_is_stored_blank(bench: Bench) -> None:
    bench.source.names_assets = False
    native = coin_row(3)
    bench.source.rows = [
        coin_row(2),
        native._replace(drafts=(native.drafts[0]._replace(asset=COIN._replace(contract=None)),)),
    ]

    bench.step()

    assets = bench.assets()
    assert sorted(asset[0] for asset in assets) == ["erc20", "native"]
    assert {tuple(asset[1:]) for asset in assets} == {(None, None, None)}


def test_the_head_is_pinned_until_the_pass_is_done(bench: Bench) -> None:
    bench.source.takes_s = 3.0
    [first] = bench.step(box_s=8.0)
    bench.source.newest = 150
    bench.source.rows.append(coin_row(140))

    assert first.outcome == "unfinished"
    assert bench.stream()["pass_head"] == 100
    chunks = bench.step()

    assert chunks[0].outcome == "done"
    assert bench.stream()["synced_block"] == 100
    assert not bench.holds_what_the_provider_says()
    bench.rig.ask()
    bench.step()
    assert bench.holds_what_the_provider_says()


def test_the_tail_is_read_again_and_takes_the_shape_of_the_chain(bench: Bench) -> None:
    bench.step()
    bench.source.rows = [row for row in ROWS if row.block < 95] + [coin_row(98, amount=9)]
    bench.source.newest = 101
    bench.rig.ask()

    [chunk] = bench.step()

    assert (chunk.inserted, chunk.deleted) == (1, 2)
    assert bench.holds_what_the_provider_says()


def test_a_refusing_provider_is_followed_by_the_next_before_a_block_has_settled(
    bench: Bench,
) -> None:
    refuse, sources = Refusing("etherscan"), {"blockscout": bench.source}

    first, second = bench.step(source_of=lambda key: sources.get(key, refuse))

    assert (first.outcome, first.state) == ("unfinished", "pending")
    assert first.error is not None
    assert first.error[0] == "source_unsupported"
    assert second.outcome == "done"
    assert bench.stream()["provider"] == "blockscout"
    assert bench.holds_what_the_provider_says()


def test_a_refusing_provider_is_never_replaced_in_mid_history(bench: Bench) -> None:
    bench.step()
    bench.rig.ask()

    [chunk] = bench.step(source_of=Refusing)

    assert (chunk.outcome, chunk.state) == ("stopped", "stopped")
    assert bench.stream()["provider"] == "etherscan"
    assert bench.holds_what_the_provider_says()


def test_the_stream_stops_when_no_provider_is_left(bench: Bench) -> None:
    *others, last = bench.step(source_of=Refusing)

    assert [chunk.outcome for chunk in others] == ["unfinished"] * 2
    assert last.outcome == "stopped"
    assert bench.stream()["error_code"] == "source_unsupported"
    assert bench.step() == []


class Refusing(ListSource):
    """Serves nothing on this plan."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.limit = LIMITS

    def head(self, *_: Any) -> int:
        raise SourceUnsupportedError(self.key, "paid plans only")

    def block_hash(self, *_: Any) -> bytes | None:
        raise SourceUnsupportedError(self.key, "paid plans only")


def test_a_page_whose_answer_was_lost_is_not_written_twice(bench: Bench) -> None:
    bench.unit.after["page"] = gone

    [chunk] = bench.step()

    assert chunk.outcome == "done"
    assert bench.holds_what_the_provider_says()


def test_a_page_that_never_arrived_is_written_again(bench: Bench) -> None:
    bench.unit.before["page"] = gone

    [chunk] = bench.step()

    assert chunk.outcome == "done"
    assert "page again" in bench.unit.labels
    assert bench.holds_what_the_provider_says()


def test_a_lease_lost_behind_an_unknown_commit_ends_the_chunk(bench: Bench) -> None:
    def lost() -> None:
        bench.steal()
        gone()

    bench.unit.before["page"] = lost

    [chunk] = bench.step()

    assert (chunk.outcome, chunk.state) == ("lost", None)
    assert chunk.error is not None
    assert chunk.error[0] == "lease_lost"
    assert bench.held() == []
    # Who lost the lease has nothing to try a second time.
    assert "page again" not in bench.unit.labels


def test_a_page_that_the_next_owner_wrote_is_not_taken_for_ours(bench: Bench) -> None:
    def overtaken() -> None:
        bench.steal()
        # The new owner stands just where our page would have ended.
        bench.set("next_block = 45")
        gone()

    bench.unit.before["page"] = overtaken

    [chunk] = bench.step()

    assert (chunk.outcome, chunk.pages) == ("lost", 0)


def test_a_stream_that_is_gone_ends_the_chunk(bench: Bench) -> None:
    def deleted() -> None:
        prefix = "" if bench.database.dialect == "sqlite" else "tallybook."
        with autocommit(bench.database.engine) as connection:
            connection.execute(text(f"DELETE FROM {prefix}stream WHERE id = {bench.id}"))

    bench.unit.before["page"] = deleted

    assert [chunk.outcome for chunk in bench.step()] == ["lost"]


def test_a_cursor_that_somebody_else_moved_ends_the_chunk(bench: Bench) -> None:
    bench.unit.before["page"] = lambda: bench.set("next_block = 77")

    [chunk] = bench.step()

    assert chunk.outcome == "lost"
    assert chunk.error is not None
    assert "stands at block 77" in chunk.error[1]
    assert bench.held() == []


def test_a_lease_lost_while_waiting_for_the_provider_writes_nothing(bench: Bench) -> None:
    def stolen(what: str) -> None:
        if what.startswith("fetch"):
            bench.source.hook = lambda _: None
            bench.steal()

    bench.source.hook = stolen

    assert [chunk.outcome for chunk in bench.step()] == ["lost"]
    assert bench.held() == []


def test_a_lease_lost_before_the_close_leaves_the_stream_to_its_new_owner(bench: Bench) -> None:
    bench.unit.before["close"] = bench.steal

    [chunk] = bench.step()

    assert (chunk.outcome, chunk.state, chunk.error) == ("lost", None, None)
    assert bench.standing().holder == "thief"


def test_a_database_that_stays_away_ends_the_run_and_the_stream_comes_back(bench: Bench) -> None:
    bench.unit.before |= {"page": gone, "standing": gone}
    with pytest.raises(StorageError):
        bench.step()
    assert bench.standing().lease_left_s > 0

    bench.database.advance(31)

    assert bench.step()[-1].outcome == "done"
    assert bench.holds_what_the_provider_says()


def test_a_page_slower_than_the_whole_box_makes_progress_by_smaller_pages(bench: Bench) -> None:
    bench.source.limit = LIMITS._replace(page_rows=80)
    # Half a second for each row that is asked for.
    bench.source.hook = lambda what: _paced(bench.source, what)
    sizes = []
    for _ in range(8):
        bench.database.advance(1000)
        bench.rig.ask()
        chunk = bench.step(box_s=12.0)[-1]
        sizes.append(bench.stream()["page_rows"])
        if chunk.outcome == "done":
            break

    assert sizes[:2] == [40, 20]
    assert bench.holds_what_the_provider_says()
    assert bench.stream()["state"] == "up_to_date"


def _paced(source: ListSource, what: str) -> None:
    if what.startswith("fetch"):
        source.takes_s = 0.5 * int(what.rsplit(" ", 1)[1])


def test_a_real_answer_that_does_not_come_in_time_is_told_from_other_failures() -> None:
    client = HttpxClient()
    with serving(Emulator(WorldStore(World(3))), latency_s=5.0) as base:
        options = {"etherscan": SourceOptions(base_url=f"{base}/etherscan/v2/api")}
        source = registry.load("etherscan", client, Settings(source=options))

        # Only this error makes the pages of a stream smaller.
        with pytest.raises(SourceTimeoutError):
            source.head(1, Deadline.after(SystemClock(), 0.3))
    client.close()


def test_pages_grow_again_once_several_went_well(bench: Bench) -> None:
    bench.source.limit = LIMITS._replace(page_rows=40)
    bench.set("page_rows = 5")
    bench.step()
    assert bench.stream()["page_rows"] == 10

    bench.set("page_rows = 20, settled_block = -1")
    bench.rig.ask()
    bench.step()
    assert bench.stream()["page_rows"] == 20, "one page is not enough to know"

    bench.source.rows = [coin_row(block) for block in range(95)]
    bench.set("page_rows = 20, settled_block = -1")
    bench.rig.ask()
    bench.step()
    assert bench.stream()["page_rows"] is None


def test_a_box_that_ends_in_mid_history_is_no_failure_of_the_provider(bench: Bench) -> None:
    bench.source.takes_s = 5.0

    [first] = bench.step(box_s=9.0)

    assert (first.outcome, first.error) == ("unfinished", None)
    now = bench.stream()
    assert (now["attempts"], now["page_rows"], now["state"]) == (0, None, "pending")
    assert first.pages == 1


def test_a_provider_behind_what_was_settled_is_waited_for(bench: Bench) -> None:
    bench.step()
    bench.source.newest = 60
    bench.database.advance(KEPT_S + 1)
    bench.rig.ask()
    bench.source.tells_hashes = False

    [chunk] = bench.step()

    assert (chunk.outcome, chunk.state) == ("snoozed", "snoozed")
    assert chunk.error is not None
    assert chunk.error[0] == "source_not_ready"
    assert bench.holds_what_the_provider_says()


@pytest.mark.parametrize("box_s", [8.0, 16.0])
def test_a_box_too_short_for_one_dense_block_is_named(bench: Bench, box_s: float) -> None:
    bench.source.rows = [coin_row(0, tx) for tx in range(55)]
    bench.source.takes_s = 3.0

    [chunk] = bench.step(box_s=box_s)

    assert (chunk.outcome, chunk.pages) == ("snoozed", 0)
    assert chunk.error is not None
    assert chunk.error[0] == "box_too_short"
    assert "RUN_BUDGET_S" in chunk.error[2]
    bench.rig.ask()
    assert bench.step()[-1].outcome == "done"
    assert bench.holds_what_the_provider_says()


def test_rows_of_one_block_with_different_times_are_not_data(bench: Bench) -> None:
    bench.source.rows = [coin_row(50), coin_row(50, 1, at_s=7)]

    [chunk] = bench.step()

    assert chunk.state == "snoozed"
    assert chunk.error is not None
    assert chunk.error[0] == "source_payload"
    assert bench.held() == []
