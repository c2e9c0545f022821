"""Syncs over HTTP: started, watched, and worked step by step."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text

from shared.clock import Deadline
from shared.runtime import Runtime
from shared.sync.chunk import ChunkReport
from shared.sync.run import RunReport
from tests.api.conftest import Api, make_client


def _update(api: Api, assignments: str, where: str = "true") -> None:
    prefix = "" if api.database.dialect == "sqlite" else "tallybook."
    with api.database.engine.begin() as connection:
        statement = f"UPDATE {prefix}stream SET {assignments} WHERE {where}"
        connection.execute(text(statement))


def _row(api: Api, columns: str, where: str) -> tuple[Any, ...]:
    prefix = "" if api.database.dialect == "sqlite" else "tallybook."
    with api.database.engine.begin() as connection:
        query = f"SELECT {columns} FROM {prefix}stream WHERE {where}"
        return tuple(connection.execute(text(query)).one())


def _later(api: Api, seconds: int) -> str:
    """SQL for the database's clock plus some seconds."""
    if api.database.dialect == "sqlite":
        return f"tallybook_now() + {seconds} * 1000000"
    return f"clock_timestamp() + interval '{seconds} seconds'"


def test_a_new_wallet_is_pending_with_nothing_made_up(api: Api) -> None:
    wallet_id = api.add_wallet()

    body = api.get(f"/wallets/{wallet_id}/sync").json()

    assert (body["wallet_id"], body["state"]) == (wallet_id, "pending")
    stream = body["streams"][0]
    assert (stream["state"], stream["chain_id"]) == ("pending", 1)
    assert (stream["movements"], stream["blocks_done"]) == (0, 0)
    assert (stream["blocks_known"], stream["settled_block"], stream["synced_at"]) == (None,) * 3
    assert (stream["error"], stream["anchor"]) == (None, "unknown")


def test_a_live_lease_means_syncing_and_the_head_is_known(api: Api) -> None:
    wallet_id = api.add_wallet()
    _update(
        api,
        f"lease_until = {_later(api, 30)}, next_block = 400, pass_head = 999, settled_block = 300,"
        " anchors = '[[300, \"ab\"]]'",
        "kind = 'native'",
    )

    body = api.get(f"/wallets/{wallet_id}/sync").json()
    native = next(stream for stream in body["streams"] if stream["kind"] == "native")

    assert (body["state"], native["state"]) == ("syncing", "syncing")
    assert (native["blocks_done"], native["blocks_known"]) == (400, 1000)
    assert (native["settled_block"], native["anchor"]) == (300, "known")

    api.database.advance(31)

    assert api.get(f"/wallets/{wallet_id}/sync").json()["state"] == "pending"


def test_a_stopped_stream_says_why_and_what_to_do(api: Api) -> None:
    wallet_id = api.add_wallet()
    _update(api, "state = 'up_to_date', synced_block = 9")
    _update(
        api,
        "state = 'stopped', error_code = 'source_denied', error_detail = 'no', error_fix = 'key'",
        "kind = 'erc20'",
    )

    body = api.get(f"/wallets/{wallet_id}/sync").json()
    stopped = next(stream for stream in body["streams"] if stream["kind"] == "erc20")

    assert body["state"] == "stopped"
    assert stopped["error"] == {"code": "source_denied", "detail": "no", "fix": "key"}
    assert stopped["next_try"] is None


@pytest.mark.parametrize("state", ["stopped", "dead"])
def test_starting_replays_what_gave_up(api: Api, state: str) -> None:
    wallet_id = api.add_wallet()
    _update(api, f"state = '{state}', attempts = 8, error_code = 'x', due_at = {_later(api, 999)}")

    answer = api.post(f"/wallets/{wallet_id}/sync")

    assert answer.status_code == 202
    assert answer.json()["state"] == "pending"
    assert all(stream["error"] is None for stream in answer.json()["streams"])
    due = f"due_at <= {_later(api, 0)}"
    assert _row(api, f"state, attempts, {due}", "kind = 'native'") == ("pending", 0, True)


def test_starting_ends_a_wait_but_keeps_its_count(api: Api) -> None:
    wallet_id = api.add_wallet()
    _update(api, f"state = 'snoozed', attempts = 3, error_code = 'x', due_at = {_later(api, 999)}")

    api.post(f"/wallets/{wallet_id}/sync")

    due = f"due_at <= {_later(api, 0)}"
    assert _row(api, f"state, attempts, {due}", "kind = 'native'") == ("pending", 3, True)


def test_starting_wakes_each_stream_once_and_urgently(api: Api) -> None:
    wallet_id = api.add_wallet()
    api.runtime.seams.queue.purge()

    for _ in range(2):
        body = api.post(f"/wallets/{wallet_id}/sync").json()

    assert api.runtime.seams.queue.stats().ready == len(body["streams"])
    claim = api.runtime.seams.queue.claim(30)
    assert claim is not None
    assert claim.wake_up.urgent


@dataclass
class FakeEngine:
    """Remembers what it was asked to work."""

    asked: list[tuple[list[int], float]] = field(default_factory=list)

    def step(self, stream_ids: list[int], deadline: Deadline) -> RunReport:
        self.asked.append((list(stream_ids), deadline.remaining_s()))
        chunk = ChunkReport(
            stream_id=stream_ids[0],
            outcome="snoozed",
            state="snoozed",
            due_in_s=2.0,
            pages=1,
            inserted=10,
            deleted=0,
            seconds=0.25,
            error=("source_unavailable", "down", ""),
        )
        return RunReport((chunk,), 2.0)


class SteppedRuntime(Runtime):
    """A runtime whose engine is a fake."""

    fake = FakeEngine()

    @property
    def sync(self) -> Any:
        return self.fake


def test_a_step_works_the_wallets_streams_within_its_budget(api: Api) -> None:
    wallet_id = api.add_wallet()
    runtime = SteppedRuntime(api.runtime.settings, api.runtime.clock, api.runtime.http)
    runtime.fake = FakeEngine()
    client = make_client(runtime)

    answer = client.post(f"/api/wallets/{wallet_id}/sync/step", json={"budget_s": 3})
    client.post(f"/api/wallets/{wallet_id}/sync/step")
    runtime.close()

    body = answer.json()
    assert answer.status_code == 200
    assert body["chunks"][0]["error"]["code"] == "source_unavailable"
    assert (body["chunks"][0]["inserted"], body["next_due_s"]) == (10, 2.0)
    assert body["sync"]["wallet_id"] == wallet_id
    ids = [stream["stream_id"] for stream in body["sync"]["streams"]]
    assert runtime.fake.asked == [(ids, 3.0), (ids, api.runtime.settings.run_budget_s)]


@pytest.mark.parametrize("budget", [0, -1, 301, "soon"])
def test_an_impossible_budget_is_refused(api: Api, budget: object) -> None:
    wallet_id = api.add_wallet()

    answer = api.post(f"/wallets/{wallet_id}/sync/step", json={"budget_s": budget})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["field"] == "budget_s"
