"""What one event means for one account: the ledger's rules, written apart from the product's."""

from collections.abc import Iterator
from typing import NamedTuple

from shared.emulator.events import (
    ERC20,
    ERC721,
    ERC1155,
    Event,
    Genesis,
    Internal,
    Transfer,
    Tx,
)

GWEI = 10**9
WITHOUT_VALUE = frozenset({"delegatecall", "staticcall", "callcode"})
STREAM_OF = {ERC20: "erc20", ERC721: "erc721", ERC1155: "erc1155"}


class Move(NamedTuple):
    """One movement, without the place that the product gives it in its block.

    ``at_s`` is the time of its block in whole seconds; an event alone does not know it.
    """

    stream: str
    block: int
    tx_hash: bytes
    contract: bytes | None
    token_id: int | None
    counterparty: bytes | None
    amount: int
    kind: str
    at_s: int = 0


def moves_of(event: Event, account: bytes) -> Iterator[Move]:
    """The movements that one event means for an account."""
    if isinstance(event, Tx):
        yield from _of_tx(event, account)
    elif isinstance(event, Transfer):
        yield from _of_transfer(event, account)
    elif isinstance(event, Internal):
        counts = event.value and not event.failed and event.call not in WITHOUT_VALUE
        if counts:
            to = event.created or event.to
            yield from _sides(event, account, to, "internal", "INTERNAL")
    elif event.account == account:
        if isinstance(event, Genesis):
            yield Move("native", 0, account, None, None, None, event.value, "GENESIS")
        elif event.gwei:
            wei = event.gwei * GWEI
            yield Move("withdrawal", event.block, b"", None, None, None, wei, "WITHDRAWAL")


def _of_tx(tx: Tx, account: bytes) -> Iterator[Move]:
    if tx.value and not tx.failed:
        yield from _sides(tx, account, tx.created or tx.to, "native", "TRANSFER")
    fee = tx.gas_used * tx.gas_price
    if fee and tx.sender == account:
        yield Move("native", tx.block, tx.hash, None, None, None, -fee, "FEE")


def _sides(
    event: Tx | Internal, account: bytes, to: bytes | None, stream: str, kind: str
) -> Iterator[Move]:
    tx_hash = event.hash if isinstance(event, Tx) else event.tx.hash
    if event.sender == account:
        yield Move(stream, event.block, tx_hash, None, None, to, -event.value, kind)
    if to == account:
        yield Move(stream, event.block, tx_hash, None, None, event.sender, event.value, kind)


def _of_transfer(event: Transfer, account: bytes) -> Iterator[Move]:
    stream = STREAM_OF[event.token.action]
    asset = (event.token.contract, event.token_id)
    here = (stream, event.block, event.tx.hash, *asset)
    if event.sender == account:
        yield Move(*here, event.to, -event.value, stream.upper())
    if event.to == account:
        yield Move(*here, event.sender, event.value, stream.upper())


def count_of(event: Event, account: bytes) -> int:
    """How many movements one event means for an account."""
    return sum(1 for _ in moves_of(event, account))
