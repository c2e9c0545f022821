"""Wallets over HTTP."""

import pytest
from sqlalchemy import text

from schema.engine import session_scope
from schema.tables import Stream
from shared.sync.watch import unwatch, watch
from tests.api.conftest import ADDRESS, Api

OTHER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
THIRD = "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB"


def _streams(api: Api) -> list[Stream]:
    from schema.queries.stream_view import STREAM  # noqa: PLC0415 - below the queries of the product

    with session_scope(api.database.engine) as session:
        ids = session.connection().scalars(STREAM.select().order_by(STREAM.c.id)).all()
        found = [session.get(Stream, stream_id) for stream_id in ids]
    return [stream for stream in found if stream is not None]


def _watch_as(api: Api, owner: str, chains: tuple[int, ...] = (1,)) -> int:
    watched = watch(
        api.runtime.engine,
        owner=owner,
        account=ADDRESS.lower(),
        chain_ids=chains,
        label=None,
        source=None,
        settings=api.runtime.settings,
        clock=api.runtime.clock,
    )
    return watched.wallet.id


def test_a_new_wallet_is_201_and_can_be_read(api: Api) -> None:
    answer = api.post(
        "/wallets", json={"address": ADDRESS.lower(), "chains": [10, 1], "label": "savings"}
    )

    assert answer.status_code == 201
    body = answer.json()
    assert (body["address"], body["chains"], body["label"]) == (ADDRESS, [1, 10], "savings")
    assert answer.headers["location"] == f"/api/wallets/{body['id']}"
    assert api.client.get(answer.headers["location"]).json() == body


def test_the_same_wallet_again_is_200_and_gains_chains(api: Api) -> None:
    first = api.post("/wallets", json={"address": ADDRESS, "chains": [1], "label": "a"})
    again = api.post("/wallets", json={"address": ADDRESS.lower(), "chains": [10]})

    assert again.status_code == 200
    assert again.json() == {**first.json(), "chains": [1, 10]}


def test_a_label_given_again_replaces_the_old_one(api: Api) -> None:
    api.post("/wallets", json={"address": ADDRESS, "chains": [1], "label": "a"})
    again = api.post("/wallets", json={"address": ADDRESS, "chains": [1], "label": "b"})

    assert again.json()["label"] == "b"


def test_each_feed_of_each_chain_becomes_a_stream_that_is_due_and_woken(api: Api) -> None:
    api.add_wallet(chains=(1, 10))

    streams = _streams(api)
    assert {stream.chain_id for stream in streams} == {1, 10}
    assert {"native", "internal", "erc20"} <= {stream.kind for stream in streams}
    assert api.runtime.seams.queue.stats().ready == len(streams)


def test_one_address_is_synced_once_however_many_watch_it(api: Api) -> None:
    api.add_wallet(chains=(1,))
    before = [stream.id for stream in _streams(api)]

    _watch_as(api, "somebody else")

    assert [stream.id for stream in _streams(api)] == before


def test_a_named_source_is_used_and_an_unfit_one_refused(api: Api) -> None:
    good = {"address": ADDRESS, "chains": [1], "source": "blockscout"}
    bad = {"address": ADDRESS, "chains": [1], "source": "nobody"}

    assert api.post("/wallets", json=good).status_code == 201
    assert {stream.provider for stream in _streams(api)} == {"blockscout"}
    refused = api.post("/wallets", json=bad)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("chains", [[], [4_000_000_000], [0], [2**70], ["one"], [1.5]])
def test_chains_that_cannot_be_are_refused(api: Api, chains: list[object]) -> None:
    answer = api.post("/wallets", json={"address": ADDRESS, "chains": chains})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert _streams(api) == []


def test_an_unlikely_address_is_refused_with_its_reason(api: Api) -> None:
    answer = api.post("/wallets", json={"address": "0x" + "ab" * 32, "chains": [1]})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_address")
    assert "private key" in answer.json()["detail"]
    assert "abab" not in answer.text


def test_wallets_are_listed_page_by_page(api: Api) -> None:
    ids = [api.add_wallet(address) for address in (ADDRESS, OTHER, THIRD)]
    _watch_as(api, "somebody else")

    first = api.get("/wallets", params={"limit": 2}).json()
    second = api.get("/wallets", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [item["id"] for item in first["items"]] == ids[:2]
    assert [item["id"] for item in second["items"]] == ids[2:]
    assert second["next_cursor"] is None
    refused = api.get("/wallets", params={"cursor": "AAAA"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_cursor")


def test_another_owners_wallet_does_not_exist(api: Api) -> None:
    wallet_id = _watch_as(api, "somebody else")

    answers = [
        api.get(f"/wallets/{wallet_id}"),
        api.client.delete(f"/api/wallets/{wallet_id}"),
        api.post(f"/wallets/{wallet_id}/sync"),
        api.get(f"/wallets/{wallet_id}/sync"),
        api.post(f"/wallets/{wallet_id}/sync/step"),
        api.get(f"/wallets/{wallet_id}/balances"),
        api.get(f"/wallets/{wallet_id}/history"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 7
    assert {answer.json()["code"] for answer in answers} == {"not_found"}
    unwatch(api.runtime.engine, owner="somebody else", wallet_id=wallet_id)  # it was still there


def test_a_deleted_wallet_is_gone_and_its_streams_rest(api: Api) -> None:
    wallet_id = api.add_wallet()

    assert api.client.delete(f"/api/wallets/{wallet_id}").status_code == 204

    assert api.get(f"/wallets/{wallet_id}").status_code == 404
    assert api.client.delete(f"/api/wallets/{wallet_id}").status_code == 404
    assert all(stream.resting_since is not None for stream in _streams(api))


def test_only_chains_that_nobody_else_wants_come_to_rest(api: Api) -> None:
    wallet_id = api.add_wallet(chains=(1, 10))
    _watch_as(api, "somebody else", (10,))

    api.client.delete(f"/api/wallets/{wallet_id}")

    resting = {s.chain_id: s.resting_since is not None for s in _streams(api)}
    assert resting == {1: True, 10: False}


def test_a_wallet_that_comes_back_goes_on_with_its_streams(api: Api) -> None:
    wallet_id = api.add_wallet()
    before = [stream.id for stream in _streams(api)]
    api.client.delete(f"/api/wallets/{wallet_id}")

    api.add_wallet()

    assert [stream.id for stream in _streams(api)] == before
    assert all(stream.resting_since is None for stream in _streams(api))


def test_streams_let_go_of_meanwhile_are_followed_by_a_new_generation(api: Api) -> None:
    wallet_id = api.add_wallet()
    before = _streams(api)
    api.client.delete(f"/api/wallets/{wallet_id}")
    prefix = "" if api.database.dialect == "sqlite" else "tallybook."
    with api.database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {prefix}stream SET live = false"))

    api.add_wallet()

    live = [stream for stream in _streams(api) if stream.live]
    assert len(live) == len(before)
    assert {stream.generation for stream in live} == {2}
