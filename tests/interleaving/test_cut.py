"""A connection cut before or after the server applied a step: nothing is lost or counted twice."""

from collections.abc import Iterator
from typing import get_args

import httpx
import pytest
from sqlalchemy import text

from schema.engine import autocommit, reading
from shared.clock import Deadline
from shared.errors import StorageError, StorageUnreachableError
from tests.api.conftest import ADDRESS, Api, make_client, make_runtime
from tests.benches import ROWS, Bench
from tests.conftest import Database
from tests.cut import Cutter, Side

SIDES = get_args(Side)
LONG_S = 1_000.0
ROUNDS = 5
RESTING = "UPDATE tallybook.stream SET resting_since = now() WHERE id <> :id"
TROUBLE = {"traceback", "psycopg", "sqlalchemy", 'file "', "select "}


@pytest.fixture
def bench(cuttable: Database) -> Bench:
    """One stream that is followed, by way of the queue."""
    bench = Bench(cuttable)
    with autocommit(cuttable.engine) as connection:
        connection.execute(text(RESTING), {"id": bench.id})
    return bench


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "step", ["queue push", "queue claim", "lease", "assets", "page", "close", "queue finish"]
)
def test_a_sync_goes_on_after_a_cut_and_ends_with_the_truth(
    bench: Bench, wire: Cutter, step: str, side: Side
) -> None:
    sync = bench.rig.engine(lambda _: bench.source)
    failures: list[StorageError] = []
    outcomes: list[str] = []
    wire.cut(step, side)
    for _ in range(ROUNDS):
        try:
            sync.sweep()
            report = sync.run(Deadline.after(bench.database.clock, LONG_S))
            outcomes += [chunk.outcome for chunk in report.chunks]
        except StorageError as exc:
            failures.append(exc)
        if (done := bench.stream())["synced_block"] is not None:
            break
        bench.database.advance(LONG_S)

    assert wire.cuts == 1
    # A page's answer is missed within the run; the other steps end it, and the next one goes on.
    assert [type(exc) for exc in failures] == ([] if step == "page" else [StorageUnreachableError])
    told_nothing = (step, side) == ("close", "after") or step == "queue finish"
    assert outcomes == ([] if told_nothing else ["done"])
    assert (done["state"], done["error_code"], done["synced_block"]) == ("up_to_date", None, 100)
    assert bench.holds_what_the_provider_says()
    assert len(bench.held()) == len(ROWS)
    assert len(bench.assets()) == 1
    _assert_next_turn_finds_everything(bench)


def _assert_next_turn_finds_everything(bench: Bench) -> None:
    """Whatever the cut left in the queue ends by itself, and a new block is seen."""
    bench.source.newest += 1
    bench.database.advance(LONG_S)
    sync = bench.rig.engine(lambda _: bench.source)
    sync.sweep()
    sync.run(Deadline.after(bench.database.clock, LONG_S))

    assert bench.stream()["synced_block"] == bench.source.newest
    assert bench.holds_what_the_provider_says()
    bench.database.advance(LONG_S)
    stats = bench.rig.seams.queue.stats()
    assert (stats.claimed, stats.buried, stats.ready + stats.delayed) == (0, 0, 0)


@pytest.fixture
def api(cuttable: Database) -> Iterator[Api]:
    runtime = make_runtime(cuttable)
    found = Api(make_client(runtime), runtime, cuttable)
    assert found.get("/wallets").json()["items"] == []
    yield found
    runtime.close()


def add_wallet(api: Api) -> httpx.Response:
    return api.post("/wallets", json={"address": ADDRESS, "chains": [1]})


@pytest.mark.parametrize("side", SIDES)
def test_a_wallet_whose_answer_was_lost_is_added_once(api: Api, wire: Cutter, side: Side) -> None:
    wire.cut("commit", side)

    lost, again = add_wallet(api), add_wallet(api)

    assert wire.cuts == 1
    body = lost.json()
    assert (lost.status_code, body["status"], body["code"]) == (503, 503, "storage")
    assert lost.headers["content-type"] == "application/problem+json"
    assert lost.headers["retry-after"]
    assert "cannot be reached" in body["detail"]
    assert "DATABASE_URL" in body["fix"]
    assert not [word for word in TROUBLE if word in lost.text.lower()]
    # What was committed is there already when it is asked for again.
    assert again.status_code == (201 if side == "before" else 200)
    _assert_added_once(api)


@pytest.mark.parametrize("side", SIDES)
def test_a_wallet_whose_wake_up_was_lost_is_synced_all_the_same(
    api: Api, wire: Cutter, side: Side
) -> None:
    wire.cut("queue push", side)

    assert add_wallet(api).status_code == 201

    assert wire.cuts == 1
    api.runtime.sync.sweep()
    _assert_added_once(api)


def _assert_added_once(api: Api) -> None:
    """One wallet, and each of its streams is woken once."""
    assert len(api.get("/wallets").json()["items"]) == 1
    with reading(api.database.engine) as connection:
        counts = [
            connection.execute(text(f"SELECT count(*) FROM tallybook.{table}")).scalar_one()
            for table in ("wallet", "address", "stream", "sync_job")
        ]
    assert counts == [1, 1, counts[2], counts[2]]
