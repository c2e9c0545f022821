"""What each kind of row means for an address."""

from typing import Any

import msgspec
import pytest

from schema.types import AssetStandard, MovementKind, StreamKind
from shared.sources.base import NATIVE, Draft, Row, TokenInfo
from shared.sources.catalog import chain_info
from shared.sources.etherscan_fields import BadFieldError
from shared.sources.etherscan_rows import FEEDS, Account, Tokens

ME = bytes.fromhex("aa" * 20)
OTHER = bytes.fromhex("bb" * 20)
MADE = bytes.fromhex("cc" * 20)
TX = bytes.fromhex("11" * 32)
MOST = 2**256 - 1


def hexed(value: bytes | None) -> str:
    return "" if value is None else "0x" + value.hex()


def read(
    kind: StreamKind, row: dict[str, Any], *, chain_id: int = 1, flat: bool = False
) -> tuple[Row, Tokens]:
    feed = FEEDS[kind]
    tokens: Tokens = {}
    account = Account(chain_info(chain_id), ME, flat)
    return feed.read(msgspec.convert(row, feed.rows), account, tokens), tokens


def native(**changes: Any) -> dict[str, Any]:
    row = {
        "blockNumber": "100",
        "blockHash": "0x" + "cd" * 32,
        "timeStamp": "1700000000",
        "hash": hexed(TX),
        "transactionIndex": "3",
        "from": hexed(ME),
        "to": hexed(OTHER),
        "value": "5",
        "gasPrice": "2",
        "gasUsed": "21000",
        "contractAddress": "",
        "isError": "0",
        "txreceipt_status": "1",
    }
    return {**row, **changes}


def sent(amount: int, to: bytes | None = OTHER) -> Draft:
    return Draft(3, TX, MovementKind.TRANSFER, 0, NATIVE, to, -amount, b"")


def received(amount: int, sender: bytes = OTHER) -> Draft:
    return Draft(3, TX, MovementKind.TRANSFER, 1, NATIVE, sender, amount, b"")


FEE = Draft(3, TX, MovementKind.FEE, 2, NATIVE, None, -42_000, b"")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (sent(5), FEE)),
        ({"from": hexed(OTHER), "to": hexed(ME)}, (received(5),)),
        ({"to": hexed(ME)}, (sent(5, ME), received(5, ME), FEE)),
        ({"value": "0"}, (FEE,)),
        ({"isError": "1", "txreceipt_status": "0"}, (FEE,)),
        ({"isError": "1", "from": hexed(OTHER), "to": hexed(ME)}, ()),
        ({"gasPrice": "0"}, (sent(5),)),
        ({"isError": None}, (sent(5), FEE)),
        ({"isError": None, "txreceipt_status": "0"}, (FEE,)),
        ({"txreceipt_status": ""}, (sent(5), FEE)),
        ({"isError": None, "txreceipt_status": ""}, (sent(5), FEE)),
        ({"to": "", "contractAddress": hexed(MADE)}, (sent(5, MADE), FEE)),
        ({"from": hexed(OTHER), "to": "", "contractAddress": hexed(ME)}, (received(5),)),
        ({"value": str(MOST), "gasPrice": "0"}, (sent(MOST),)),
        ({"from": "0x" + "AA" * 20}, (sent(5), FEE)),
        ({"value": 5, "blockNumber": 100}, (sent(5), FEE)),
    ],
    ids=[
        "sent",
        "received",
        "to itself",
        "nothing sent",
        "failed",
        "failed, received",
        "free of gas",
        "no isError",
        "no isError, failed",
        "before Byzantium",
        "before Byzantium, no isError",
        "creation",
        "created with value",
        "the most there can be",
        "upper case",
        "numbers instead of text",
    ],
)
def test_transaction_moves_value_and_fee(
    changes: dict[str, Any], expected: tuple[Draft, ...]
) -> None:
    row, tokens = read(StreamKind.NATIVE, native(**changes))

    assert row == Row(100, 1_700_000_000, TX, bytes.fromhex("cd" * 32), expected)
    assert tokens == {NATIVE: TokenInfo(AssetStandard.NATIVE, "ETH", "Ether", 18)}


def test_genesis_allocation_is_named_after_the_address() -> None:
    recorded = native(
        blockNumber="0",
        hash=f"GENESIS_{ME.hex()}",
        blockHash="",
        nonce="",
        **{"from": "GENESIS"},
        to=hexed(ME),
        value="2000000000000000000000",
        gasPrice="0",
        gasUsed="0",
        txreceipt_status="",
    )

    row, _ = read(StreamKind.NATIVE, recorded)

    expected = Draft(0, ME, MovementKind.GENESIS, 1, NATIVE, None, 2000 * 10**18, b"")
    assert row == Row(0, 1_700_000_000, ME, None, (expected,))


@pytest.mark.parametrize(
    "changes",
    [
        {"value": "-5"},
        {"value": "5.0"},
        {"value": ""},
        {"value": None},
        {"value": str(MOST + 1)},
        {"value": "²"},
        {"gasPrice": str(MOST)},
        {"gasUsed": None},
        {"hash": "0x12"},
        {"hash": "11" * 33},
        {"hash": "0x" + "1 " * 32},
        {"blockHash": "0x12"},
        {"from": None},
        {"from": ""},
        {"from": "0x" + "zz" * 20},
        {"transactionIndex": ""},
        {"transactionIndex": str(2**23)},
        {"blockNumber": "latest"},
        {"timeStamp": None},
        {"isError": "2"},
        {"isError": None, "txreceipt_status": None},
        {"from": hexed(OTHER)},
    ],
)
def test_spoilt_transaction_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadFieldError):
        read(StreamKind.NATIVE, native(**changes))


def test_refusal_names_the_field_and_shortens_the_value() -> None:
    with pytest.raises(BadFieldError) as caught:
        read(StreamKind.NATIVE, native(value="x" * 5000))

    assert str(caught.value).startswith("value is 'xxx")
    assert len(str(caught.value)) < 100


def internal(**changes: Any) -> dict[str, Any]:
    row = {
        "blockNumber": "100",
        "timeStamp": "1700000000",
        "hash": hexed(TX),
        "from": hexed(OTHER),
        "to": hexed(ME),
        "value": "5",
        "contractAddress": "",
        "type": "call",
        "traceId": "0_1",
        "isError": "0",
        "errCode": "",
    }
    return {**row, **changes}


def inner(leg: int, other: bytes | None, identity: bytes = b"0_1") -> Draft:
    amount = 5 if leg else -5
    return Draft(0, TX, MovementKind.INTERNAL, leg, NATIVE, other, amount, identity)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (inner(1, OTHER),)),
        ({"from": hexed(ME), "to": hexed(OTHER)}, (inner(0, OTHER),)),
        ({"from": hexed(ME)}, (inner(0, ME), inner(1, ME))),
        ({"from": hexed(ME), "to": "", "contractAddress": hexed(MADE)}, (inner(0, MADE),)),
        ({"to": "", "contractAddress": hexed(ME), "type": "create2"}, (inner(1, OTHER),)),
        ({"from": "", "type": "reward"}, (inner(1, None),)),
        ({"type": "selfdestruct"}, (inner(1, OTHER),)),
        ({"type": "delegatecall"}, ()),
        ({"type": "staticcall"}, ()),
        ({"type": "callcode"}, ()),
        ({"callType": "delegatecall"}, ()),
        ({"isError": "1"}, ()),
        ({"isError": "", "errCode": "out of gas"}, ()),
        ({"value": "0"}, ()),
        (
            {"hash": None, "transactionHash": hexed(TX), "traceId": None, "index": "19"},
            (inner(1, OTHER, b"19"),),
        ),
    ],
)
def test_internal_row_moves_value(changes: dict[str, Any], expected: tuple[Draft, ...]) -> None:
    row, _ = read(StreamKind.INTERNAL, internal(**changes))

    assert row == Row(100, 1_700_000_000, TX, None, expected)


@pytest.mark.parametrize(("flat", "moves"), [(True, 0), (False, 1)])
def test_creating_transaction_among_flat_internals_counts_once(flat: bool, moves: int) -> None:
    row, _ = read(StreamKind.INTERNAL, internal(type="create", traceId="0"), flat=flat)

    assert len(row.drafts) == moves


@pytest.mark.parametrize(
    "changes", [{"from": None}, {"value": None}, {"hash": None}, {"to": hexed(OTHER)}]
)
def test_spoilt_internal_row_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadFieldError):
        read(StreamKind.INTERNAL, internal(**changes))
