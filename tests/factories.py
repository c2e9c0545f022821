"""Rows that are valid by default; override by keyword. Save them to get their ids."""

from itertools import count
from typing import Any, TypeVar

from sqlalchemy import Engine

from schema.engine import session_scope
from schema.tables import Address, Asset, Movement, Stream, Table, Wallet
from schema.types import AssetStandard, MovementKind, StreamKind
from tests.fakes import START

T = TypeVar("T", bound=Table)
_numbers = count(1)


def make_address(**changes: Any) -> Address:
    """An EVM account that no other call returns."""
    account = "0x" + f"{0xA0000 + next(_numbers):x}".rjust(40, "c")
    return Address(**{"account": account, "created_at": START, **changes})


def make_wallet(**changes: Any) -> Wallet:
    """A wallet of the local owner on Ethereum."""
    defaults = {"owner": "local", "address_id": 1, "chain_ids": [1], "created_at": START}
    return Wallet(**{**defaults, **changes})


def make_stream(**changes: Any) -> Stream:
    """A new stream of native transfers, due at once."""
    defaults = {
        "address_id": 1,
        "chain_id": 1,
        "kind": StreamKind.NATIVE.value,
        "provider": "etherscan",
        "due_at": START,
        "created_at": START,
    }
    return Stream(**{**defaults, **changes})


def make_asset(**changes: Any) -> Asset:
    """A token of 18 decimals, or Ether with ``contract=None``."""
    contract = changes.get("contract", next(_numbers).to_bytes(20, "big"))
    native = contract is None
    defaults = {
        "chain_id": 1,
        "standard": (AssetStandard.NATIVE if native else AssetStandard.ERC20).value,
        "contract": contract,
        "symbol": "ETH" if native else "TKN",
        "name": "Ether" if native else "Token",
        "decimals": 18,
    }
    return Asset(**{**defaults, **changes})


def make_movement(**changes: Any) -> Movement:
    """One received transfer in a place of its own."""
    number = next(_numbers)
    defaults = {
        "stream_id": 1,
        "block": 100,
        "pos": number,
        "at": START,
        "asset_id": 1,
        "kind": int(MovementKind.TRANSFER),
        "tx_hash": number.to_bytes(32, "big"),
        "counterparty": number.to_bytes(20, "big"),
        "amount": 1,
    }
    return Movement(**{**defaults, **changes})


def save(engine: Engine, *rows: T) -> list[T]:
    """Insert rows in one transaction; they come back with their ids."""
    with session_scope(engine) as session:
        session.add_all(rows)
        session.flush()
    return list(rows)
