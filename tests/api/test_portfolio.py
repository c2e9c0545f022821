"""Balances and history over HTTP."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from functions.api.portfolio import MOST_BALANCES
from schema.queries.stream_view import STREAM
from schema.tables import Balance, Price
from schema.types import MovementKind
from shared.sources.etherscan_fields import HIGHEST_DECIMALS, NAME_CHARS, SYMBOL_CHARS
from shared.sources.quote_client import MOST_DIGITS
from tests.api.conftest import Api
from tests.factories import make_asset, make_movement, save
from tests.fakes import START

TOKEN = b"\x01" * 20
NFT = b"\x02" * 20
MOST_BYTES = 4_500_000  # https://vercel.com/docs/functions/limitations


def _stream_ids(api: Api) -> dict[tuple[int, str], int]:
    with api.database.engine.begin() as connection:
        rows = connection.execute(STREAM.select()).mappings().all()
    return {(row["chain_id"], row["kind"]): row["id"] for row in rows}


@pytest.fixture
def wallet_id(api: Api) -> int:
    """A wallet on two chains: Ether on both, a token on one, an NFT gone again."""
    wallet_id = api.add_wallet(chains=(1, 10))
    streams = _stream_ids(api)
    ether, token, nft = save(
        api.database.engine,
        make_asset(contract=None),
        make_asset(contract=TOKEN, symbol="TOK", name="Token", decimals=6),
        make_asset(contract=NFT, standard="erc721", token_id=2**256 - 1, decimals=None),
    )
    (optimism,) = save(api.database.engine, make_asset(chain_id=10, contract=None))
    movements: list[dict[str, Any]] = [
        {"stream": (1, "native"), "asset_id": ether.id, "block": 1, "amount": 10**18},
        {"stream": (1, "native"), "asset_id": ether.id, "block": 2, "amount": -1, "kind": 2},
        {"stream": (1, "internal"), "asset_id": ether.id, "block": 3, "amount": 5, "kind": 3},
        {"stream": (1, "erc20"), "asset_id": token.id, "block": 4, "amount": 2**256 - 1, "kind": 4},
        {"stream": (1, "erc20"), "asset_id": token.id, "block": 5, "amount": 2**256 - 1, "kind": 4},
        {"stream": (1, "erc721"), "asset_id": nft.id, "block": 6, "amount": 1, "kind": 5},
        {"stream": (1, "erc721"), "asset_id": nft.id, "block": 7, "amount": -1, "kind": 5},
        {"stream": (10, "native"), "asset_id": optimism.id, "block": 2**33, "amount": 7},
    ]
    sums: dict[tuple[int, int], list[int]] = {}
    for number, movement in enumerate(movements, 1):
        stream_id = streams[movement.pop("stream")]
        at = START + timedelta(hours=number)
        save(api.database.engine, make_movement(stream_id=stream_id, at=at, **movement))
        sums.setdefault((stream_id, movement["asset_id"]), []).append(movement["amount"])
    rows = [
        Balance(stream_id=stream, asset_id=asset, amount=sum(found), movements=len(found))
        for (stream, asset), found in sums.items()
    ]
    save(api.database.engine, *rows)
    return wallet_id


def test_balances_are_exact_sums_over_streams(api: Api, wallet_id: int) -> None:
    items = api.get(f"/wallets/{wallet_id}/balances").json()["items"]

    assert [(i["chain_id"], i["symbol"], i["amount_raw"]) for i in items] == [
        (1, "ETH", str(10**18 + 4)),
        (1, "TOK", str(2 * (2**256 - 1))),
        (10, "ETH", "7"),
    ]
    assert items[0]["contract"] is None
    assert items[1]["contract"] == "0x" + TOKEN.hex()
    assert (items[1]["name"], items[1]["decimals"], items[1]["gaps"]) == ("Token", 6, [])
    assert "l1_fee" in items[2]["gaps"]


def test_zero_balances_and_single_chains_can_be_asked_for(api: Api, wallet_id: int) -> None:
    path = f"/wallets/{wallet_id}/balances"
    zeros = api.get(path, params={"zeros": "true", "chain": 1}).json()["items"]

    assert [i["amount_raw"] for i in zeros][-1] == "0"
    assert zeros[-1]["token_id"] == str(2**256 - 1)
    assert {i["chain_id"] for i in zeros} == {1}
    assert api.get(path, params={"chain": 137}).json()["items"] == []


def test_internals_are_missing_until_they_are_read_as_far(api: Api, wallet_id: int) -> None:
    path = f"/wallets/{wallet_id}/balances"
    assert "internals_missing" in api.get(path).json()["items"][0]["gaps"]

    with api.database.engine.begin() as connection:
        connection.execute(STREAM.update().values(synced_block=100, settled_block=90))

    assert "internals_missing" not in api.get(path).json()["items"][0]["gaps"]


def _amounts(api: Api, wallet_id: int, **params: object) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = api.get(
            f"/wallets/{wallet_id}/history",
            params={"limit": 3, **params, **({"cursor": cursor} if cursor else {})},
        ).json()
        found += [item["amount_raw"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_balances_come_in_pages_until_there_is_no_cursor(api: Api, wallet_id: int) -> None:
    path = f"/wallets/{wallet_id}/balances"
    whole = api.get(path).json()
    assert whole["next_cursor"] is None

    found, cursor = [], None
    for left in (2, 1, 0):
        params = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = api.get(path, params=params).json()
        assert page["state"] == whole["state"] == "pending"
        assert len(page["items"]) == 1
        found += page["items"]
        cursor = page["next_cursor"]
        assert (cursor is None) == (left == 0)
    assert found == whole["items"]


def test_a_cursor_of_other_balances_is_refused(api: Api, wallet_id: int) -> None:
    path = f"/wallets/{wallet_id}/balances"
    cursor = api.get(path, params={"limit": 1}).json()["next_cursor"]

    for params in ({"cursor": cursor, "zeros": "true"}, {"cursor": cursor, "chain": 1}):
        answer = api.get(path, params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")
    for limit in (0, -1, MOST_BALANCES + 1, "all"):
        answer = api.get(path, params={"limit": limit})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_the_longest_page_of_balances_fits_into_an_answer(api: Api) -> None:
    wallet_id = api.add_wallet()
    stream_id = _stream_ids(api)[1, "erc20"]
    longest = "\N{FLAG IN HOLE}" * NAME_CHARS  # four bytes each
    contracts = (number.to_bytes(20, "big") for number in range(2**159, 2**159 + MOST_BALANCES))
    assets = save(
        api.database.engine,
        *(
            make_asset(
                contract=contract,
                symbol=longest[:SYMBOL_CHARS],
                name=longest,
                decimals=HIGHEST_DECIMALS,
            )
            for contract in contracts
        ),
    )
    amount = -(10**90)
    rows = [
        Balance(stream_id=stream_id, asset_id=asset.id or 0, amount=amount, movements=1)
        for asset in assets
    ]
    save(api.database.engine, *rows)
    longest_price = Decimal((0, (9,) * MOST_DIGITS, -MOST_DIGITS - 29))  # near the lowest
    prices = [
        Price(
            asset_id=asset.id or 0,
            state="priced",
            price_usd=longest_price,
            source="defillama",
            priced_at=START + timedelta(microseconds=1),
            confidence=Decimal("0.99"),
            next_ask_at=START,
        )
        for asset in assets
    ]
    save(api.database.engine, *prices)

    answer = api.get(f"/wallets/{wallet_id}/balances", params={"limit": MOST_BALANCES})

    items = answer.json()["items"]
    assert len(items) == MOST_BALANCES
    assert {(len(item["name"]), item["value"] is None) for item in items} == {(NAME_CHARS, False)}
    assert MOST_BYTES * 0.8 < len(answer.content) < MOST_BYTES


BIG = str(2**256 - 1)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["7", "-1", "1", BIG, BIG, "5", "-1", str(10**18)]),
        ({"chain": 10}, ["7"]),
        ({"chain": 137}, []),
        ({"asset": "native"}, ["7", "5", "-1", str(10**18)]),
        ({"asset": "0x" + TOKEN.hex()}, [BIG, BIG]),
        ({"asset": "0x" + NFT.hex(), "token_id": BIG}, ["-1", "1"]),
        ({"asset": "0x" + NFT.hex(), "token_id": "1"}, []),
        ({"kind": "fee"}, ["-1"]),
        ({"direction": "out"}, ["-1", "-1"]),
        ({"from": "2024-01-01T06:00:00Z"}, ["7", "-1", "1"]),
        ({"to": "2024-01-01T06:00:00+04:00"}, [str(10**18)]),
        ({"from": "2024-01-01T02:00:00Z", "to": "2024-01-01T04:00:00Z"}, ["5", "-1"]),
    ],
)
def test_history_is_filtered_and_paged(
    api: Api, wallet_id: int, params: dict[str, object], expected: list[str]
) -> None:
    assert _amounts(api, wallet_id, **params) == expected


def test_a_line_of_history_is_complete(api: Api, wallet_id: int) -> None:
    item = api.get(f"/wallets/{wallet_id}/history", params={"limit": 1}).json()["items"][0]

    assert set(item) == {
        "chain_id", "block", "at", "tx_hash", "kind", "direction", "counterparty", "contract",
        "symbol", "decimals", "token_id", "amount_raw",
    }  # fmt: skip
    assert (item["chain_id"], item["block"]) == (10, 2**33)
    assert item["at"] == "2024-01-01T08:00:00Z"
    assert (item["kind"], item["direction"]) == ("transfer", "in")
    assert item["kind"] == MovementKind.TRANSFER.name.lower()


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 501},
        {"chain": 0},
        {"chain": 2**63},
        {"asset": "0x12"},
        {"asset": "ether"},
        {"token_id": "5"},
        {"asset": "native", "token_id": "5"},
        {"asset": "0x" + "ab" * 20, "token_id": "1" * 79},
        {"kind": "gift"},
        {"direction": "up"},
        {"from": "yesterday"},
        {"from": "2024-01-01T00:00:00"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"to": "9999-12-31T23:59:59-14:00"},
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_name(
    api: Api, wallet_id: int, params: dict[str, object]
) -> None:
    answer = api.get(f"/wallets/{wallet_id}/history", params=params)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), answer.text
    assert list(params)[-1] in answer.json()["detail"]


@pytest.mark.parametrize("cursor", ["", "AAAA", "%00", "😀", "A" * 19_999])
def test_a_foreign_cursor_is_refused(api: Api, wallet_id: int, cursor: str) -> None:
    answer = api.get(f"/wallets/{wallet_id}/history", params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")
