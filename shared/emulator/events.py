"""What happens on a made-up chain, kept as compact tuples: a million of them fit into memory."""

from hashlib import sha256
from typing import NamedTuple

TXLIST = "txlist"
INTERNAL = "txlistinternal"
ERC20 = "tokentx"
ERC721 = "tokennfttx"
ERC1155 = "token1155tx"
WITHDRAWAL = "txsBeaconWithdrawal"
ACTIONS = (TXLIST, INTERNAL, ERC20, ERC721, ERC1155, WITHDRAWAL)
ZERO_ADDRESS = bytes(20)


class Token(NamedTuple):
    """A token contract; ``action`` names its feed, ``decimals`` None means that no feed tells."""

    contract: bytes
    action: str
    name: str
    symbol: str
    decimals: str | None


class Tx(NamedTuple):
    """A transaction. ``created`` is the new contract; ``uid`` stays when a reorg moves it.

    A made-up transaction has its hash from the ``uid``, a real one brings its own.
    """

    block: int
    number: int
    uid: int
    sender: bytes
    to: bytes | None
    created: bytes | None
    value: int
    gas_used: int
    gas_price: int
    failed: bool
    real_hash: bytes | None = None

    @property
    def hash(self) -> bytes:
        """The transaction's hash, the same wherever a reorg puts it."""
        return self.real_hash or sha256(self.uid.to_bytes(32, "big")).digest()


class Internal(NamedTuple):
    """A call inside a transaction; ``trace`` numbers it."""

    tx: Tx
    trace: int
    sender: bytes
    to: bytes | None
    created: bytes | None
    value: int
    call: str
    failed: bool

    @property
    def block(self) -> int:
        """The block of its transaction."""
        return self.tx.block


class Transfer(NamedTuple):
    """A token changes hands; ``token_id`` is None for ERC-20."""

    tx: Tx
    token: Token
    sender: bytes
    to: bytes
    value: int
    token_id: int | None

    @property
    def block(self) -> int:
        """The block of its transaction."""
        return self.tx.block


class Withdrawal(NamedTuple):
    """The beacon chain pays a validator's account, without a transaction."""

    block: int
    number: int
    validator: int
    account: bytes
    gwei: int


class Genesis(NamedTuple):
    """An allocation that the chain began with."""

    block: int
    account: bytes
    value: int


Event = Tx | Internal | Transfer | Withdrawal | Genesis


def action_of(event: Event) -> str:
    """The feed that shows this event."""
    if isinstance(event, Transfer):
        return event.token.action
    if isinstance(event, Internal):
        return INTERNAL
    return WITHDRAWAL if isinstance(event, Withdrawal) else TXLIST


def parties(event: Event) -> list[bytes]:
    """The accounts whose feeds show this event, each once."""
    if isinstance(event, Genesis | Withdrawal):
        return [event.account]
    found = [event.sender]
    if event.to is not None and event.to != event.sender:
        found.append(event.to)
    if not isinstance(event, Transfer) and event.created is not None:
        found.append(event.created)
    return found


def placed(bundle: list[Event], block: int, number: int) -> list[Event]:
    """The same transaction, with all that it did, at another place."""
    head = bundle[0]
    if isinstance(head, Withdrawal):
        return [head._replace(block=block)]
    if not isinstance(head, Tx):
        return bundle
    moved = head._replace(block=block, number=number)
    rest = [e._replace(tx=moved) for e in bundle[1:] if isinstance(e, Internal | Transfer)]
    return [moved, *rest]


def bundles(events: list[Event]) -> list[list[Event]]:
    """A block's events, cut into transactions and single withdrawals."""
    cut: list[list[Event]] = []
    for event in events:
        if isinstance(event, Internal | Transfer):
            cut[-1].append(event)
        else:
            cut.append([event])
    return cut
