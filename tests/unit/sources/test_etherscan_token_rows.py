"""What the rows of token feeds and withdrawals mean for an address."""

from typing import Any

import msgspec
import pytest

from schema.types import AssetStandard, MovementKind, StreamKind
from shared.sources.base import NATIVE, AssetRef, Draft, Row, TokenInfo
from shared.sources.catalog import chain_info
from shared.sources.etherscan_fields import BadFieldError
from shared.sources.etherscan_rows import FEEDS, Account, Tokens

ME = bytes.fromhex("aa" * 20)
OTHER = bytes.fromhex("bb" * 20)
TOKEN = bytes.fromhex("dd" * 20)
ZERO = bytes(20)
TX = bytes.fromhex("11" * 32)
OVM_ETH = bytes.fromhex("deaddeaddeaddeaddeaddeaddeaddeaddead0000")
MATIC = bytes.fromhex("0000000000000000000000000000000000001010")
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
AEWETH = bytes.fromhex("82af49447d8a07e3bd95bd0d56f35241523fbab1")
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


def token(contract: bytes = TOKEN, **changes: Any) -> dict[str, Any]:
    row = {
        "blockNumber": "100",
        "blockHash": "0x" + "cd" * 32,
        "timeStamp": "1700000000",
        "hash": hexed(TX),
        "transactionIndex": "3",
        "from": hexed(OTHER),
        "to": hexed(ME),
        "value": "5",
        "contractAddress": hexed(contract),
        "tokenName": "Token",
        "tokenSymbol": "TOK",
        "tokenDecimal": "6",
    }
    return {**row, **changes}


def moved(leg: int, amount: int, asset: AssetRef, other: bytes = OTHER) -> Draft:
    return Draft(3, TX, MovementKind.ERC20, leg, asset, other, amount, b"")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (moved(1, 5, AssetRef(TOKEN)),)),
        ({"from": hexed(ME), "to": hexed(OTHER)}, (moved(0, -5, AssetRef(TOKEN)),)),
        (
            {"from": hexed(ME)},
            (moved(0, -5, AssetRef(TOKEN), ME), moved(1, 5, AssetRef(TOKEN), ME)),
        ),
        ({"value": "0"}, (moved(1, 0, AssetRef(TOKEN)),)),
        ({"value": str(MOST)}, (moved(1, MOST, AssetRef(TOKEN)),)),
        ({"from": hexed(ZERO)}, (moved(1, 5, AssetRef(TOKEN), ZERO),)),
    ],
)
def test_token_transfer_moves_units(changes: dict[str, Any], expected: tuple[Draft, ...]) -> None:
    row, tokens = read(StreamKind.ERC20, token(**changes))

    assert row == Row(100, 1_700_000_000, TX, bytes.fromhex("cd" * 32), expected)
    assert tokens == {AssetRef(TOKEN): TokenInfo(AssetStandard.ERC20, "TOK", "Token", 6)}


@pytest.mark.parametrize("decimals", ["", "256", "-1", "many", None])
def test_impossible_decimals_are_unknown(decimals: str | None) -> None:
    _, tokens = read(StreamKind.ERC20, token(tokenDecimal=decimals))

    assert tokens[AssetRef(TOKEN)].decimals is None


@pytest.mark.parametrize("changes", [{"from": ""}, {"to": None}, {"contractAddress": ""}])
def test_spoilt_token_row_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadFieldError):
        read(StreamKind.ERC20, token(**changes))


def test_nft_among_fungible_tokens_is_left_to_its_own_feed() -> None:
    row, tokens = read(StreamKind.ERC20, token(tokenID="7", value=None))

    assert row.drafts == ()
    assert tokens == {}


def test_row_of_the_token_contract_itself_moves_nothing() -> None:
    row, _ = read(StreamKind.ERC20, token(contract=ME, **{"from": hexed(ZERO)}, to=hexed(OTHER)))

    assert row.drafts == ()


@pytest.mark.parametrize(
    ("parties", "expected"),
    [
        ({"from": hexed(ZERO)}, (moved(1, 5, NATIVE, ZERO),)),
        ({"from": hexed(ME), "to": hexed(ZERO)}, (moved(0, -5, NATIVE, ZERO),)),
        ({}, ()),
    ],
    ids=["minted", "burnt", "transferred"],
)
def test_alias_of_the_native_coin_counts_where_nothing_else_does(
    parties: dict[str, Any], expected: tuple[Draft, ...]
) -> None:
    row, tokens = read(StreamKind.ERC20, token(OVM_ETH, **parties), chain_id=10)

    assert row.drafts == expected
    assert set(tokens) <= {NATIVE}


def test_alias_that_never_counts() -> None:
    row, _ = read(StreamKind.ERC20, token(MATIC, **{"from": hexed(ZERO)}), chain_id=137)

    assert row.drafts == ()


@pytest.mark.parametrize("parties", [{"from": hexed(ZERO)}, {"from": hexed(ME), "to": hexed(ZERO)}])
def test_wrapping_that_emits_no_transfer_is_left_out(parties: dict[str, Any]) -> None:
    row, _ = read(StreamKind.ERC20, token(WETH, **parties))

    assert row.drafts == ()


def test_transfer_of_a_wrapped_coin_counts() -> None:
    row, _ = read(StreamKind.ERC20, token(WETH))

    assert row.drafts == (moved(1, 5, AssetRef(WETH)),)


def test_wrapping_that_emits_a_transfer_counts() -> None:
    row, _ = read(StreamKind.ERC20, token(AEWETH, **{"from": hexed(ZERO)}), chain_id=42161)

    assert row.drafts == (moved(1, 5, AssetRef(AEWETH), ZERO),)


def test_nft_moves_one() -> None:
    row, tokens = read(StreamKind.ERC721, token(tokenID=str(MOST), value=None, tokenDecimal="0"))

    asset = AssetRef(TOKEN, MOST)
    assert row.drafts == (Draft(3, TX, MovementKind.ERC721, 1, asset, OTHER, 1, b""),)
    assert tokens == {asset: TokenInfo(AssetStandard.ERC721, "TOK", "Token", None)}


def test_multi_token_moves_its_units() -> None:
    row, tokens = read(StreamKind.ERC1155, token(tokenID="7", tokenValue="9", value=None))

    asset = AssetRef(TOKEN, 7)
    assert row.drafts == (Draft(3, TX, MovementKind.ERC1155, 1, asset, OTHER, 9, b""),)
    assert tokens[asset].standard is AssetStandard.ERC1155


@pytest.mark.parametrize("kind", [StreamKind.ERC721, StreamKind.ERC1155])
@pytest.mark.parametrize("token_id", [None, "", "-1", "0x7"])
def test_nft_without_an_id_is_refused(kind: StreamKind, token_id: str | None) -> None:
    with pytest.raises(BadFieldError, match="tokenID"):
        read(kind, token(tokenID=token_id, tokenValue="1"))


@pytest.mark.parametrize("time_field", ["timestamp", "timeStamp"])
def test_withdrawal_pays_gwei(time_field: str) -> None:
    recorded = {
        "withdrawalIndex": "13",
        "validatorIndex": "117823",
        "address": hexed(ME),
        "amount": "3402931175",
        "blockNumber": "17034877",
        time_field: "1681338479",
    }

    row, tokens = read(StreamKind.WITHDRAWAL, recorded)

    amount = 3402931175 * 10**9
    expected = Draft(0, b"", MovementKind.WITHDRAWAL, 1, NATIVE, None, amount, b"13")
    assert row == Row(17034877, 1681338479, b"", None, (expected,))
    assert set(tokens) == {NATIVE}


def test_withdrawal_of_somebody_else_is_refused() -> None:
    with pytest.raises(BadFieldError, match="other addresses"):
        read(
            StreamKind.WITHDRAWAL,
            {
                "withdrawalIndex": "1",
                "address": hexed(OTHER),
                "amount": "1",
                "blockNumber": "1",
                "timestamp": "1",
            },
        )
