"""What wallets live through: each function plays one transaction that concerns a wallet."""

from collections.abc import Callable

from shared.emulator.cast import Cast
from shared.emulator.dice import Dice, address
from shared.emulator.events import ZERO_ADDRESS, Event, Internal, Token, Transfer, Tx

MAX_UINT256 = 2**256 - 1
GWEI = 10**9
MOST_MOVEMENTS = 16  # no activity makes more movements for its wallet


class Stage:
    """The transaction slot in which the next activity plays."""

    def __init__(self, dice: Dice, cast: Cast) -> None:
        self.dice = dice
        self.cast = cast
        self.block = 0
        self.number = 0
        self.uid = 0

    def tx(
        self,
        sender: bytes,
        to: bytes | None,
        value: int = 0,
        *,
        failed: bool = False,
        created: bytes | None = None,
    ) -> Tx:
        """The slot's transaction; one in fifty pays no gas price."""
        gas_used = 21_000 + self.dice.below(200_000)
        price = 0 if self.dice.chance(0.02) else GWEI + self.dice.below(90 * GWEI)
        return Tx(
            self.block, self.number, self.uid, sender, to, created, value, gas_used, price, failed
        )

    def wei(self) -> int:
        """A value that is never zero and needs more than 53 bits now and then."""
        return 1 + self.dice.bits(61)

    def stranger(self) -> bytes:
        """Somebody nobody watches."""
        return self.dice.pick(self.cast.strangers)

    def contract(self) -> bytes:
        """A contract without a token."""
        return self.dice.pick(self.cast.contracts)

    def coin(self) -> Token:
        """An honest ERC-20."""
        return self.dice.pick(self.cast.coins)


Activity = Callable[[Stage, bytes], list[Event]]


def receive(stage: Stage, wallet: bytes) -> list[Event]:
    """A stranger pays the wallet: exactly one movement."""
    return [stage.tx(stage.stranger(), wallet, stage.wei())]


def send(stage: Stage, wallet: bytes) -> list[Event]:
    """The wallet pays a stranger."""
    return [stage.tx(wallet, stage.stranger(), stage.wei())]


def between(stage: Stage, wallet: bytes) -> list[Event]:
    """One watched wallet pays another, or itself."""
    return [stage.tx(wallet, stage.dice.pick(stage.cast.wallets), stage.wei())]


def call(stage: Stage, wallet: bytes) -> list[Event]:
    """A contract call without value: only the fee moves."""
    return [stage.tx(wallet, stage.contract())]


def fail(stage: Stage, wallet: bytes) -> list[Event]:
    """A failed payment: the sender pays the fee, nobody receives anything."""
    if stage.dice.chance(0.3):
        return [stage.tx(stage.stranger(), wallet, stage.wei(), failed=True)]
    return [stage.tx(wallet, stage.contract(), stage.wei(), failed=True)]


def to_self(stage: Stage, wallet: bytes) -> list[Event]:
    """The wallet pays itself."""
    return [stage.tx(wallet, wallet, stage.wei())]


def create(stage: Stage, wallet: bytes) -> list[Event]:
    """The wallet creates a contract, with value or without, and now and then fails to."""
    created = address("created", stage.uid)
    value = stage.wei() if stage.dice.chance(0.6) else 0
    return [stage.tx(wallet, None, value, created=created, failed=stage.dice.chance(0.2))]


def inner_calls(stage: Stage, wallet: bytes) -> list[Event]:
    """Calls of every type between contracts and the wallet, some of which do not count."""
    sender = wallet if stage.dice.chance(0.5) else stage.stranger()
    contract = stage.contract()
    tx = stage.tx(sender, contract, failed=stage.dice.chance(0.1))
    inner: list[Event] = [tx]
    for trace in range(1 + stage.dice.below(5)):
        value, number = stage.wei(), stage.dice.below(8)
        inward = (contract, wallet)
        outward = (wallet, stage.contract())
        source, target = outward if number in {1, 6} else inward
        kind = ("call", "call", "delegatecall", "suicide", "call", "call", "create", "callcode")
        made = address("inner", stage.uid, trace) if number == 6 else None  # noqa: PLR2004
        if number == 5:  # noqa: PLR2004 - a call that carries nothing
            value = 0
        failed = tx.failed or number == 4  # noqa: PLR2004 - a call that fails alone
        to = None if made else target
        inner.append(Internal(tx, trace, source, to, made, value, kind[number], failed))
    return inner


def coin_move(stage: Stage, wallet: bytes) -> list[Event]:
    """The wallet sends or is sent an ERC-20."""
    coin, other, value = stage.coin(), stage.stranger(), stage.wei()
    if stage.dice.chance(0.5):
        tx = stage.tx(wallet, coin.contract)
        return [tx, Transfer(tx, coin, wallet, other, value, None)]
    tx = stage.tx(other, coin.contract)
    return [tx, Transfer(tx, coin, other, wallet, value, None)]


def equal_transfers(stage: Stage, wallet: bytes) -> list[Event]:
    """Several transfers that are alike in everything: each of them counts."""
    coin, other, value = stage.coin(), stage.contract(), stage.wei()
    tx = stage.tx(stage.stranger(), other)
    ends = (other, wallet) if stage.dice.chance(0.7) else (wallet, other)
    equal = Transfer(tx, coin, *ends, value, None)
    return [tx, *[equal] * (2 + stage.dice.below(4))]


def junk_move(stage: Stage, wallet: bytes) -> list[Event]:
    """A junk token moves 2^256-1 more than once."""
    junk, other = stage.cast.junk, stage.stranger()
    tx = stage.tx(other, junk.contract)
    moves: list[Event] = [tx]
    for _ in range(1 + stage.dice.below(3)):
        ends = (wallet, other) if stage.dice.chance(0.2) else (other, wallet)
        moves.append(Transfer(tx, junk, *ends, MAX_UINT256, None))
    return moves


def poison(stage: Stage, wallet: bytes) -> list[Event]:
    """Somebody else's zero transfer from the wallet to a look-alike of its partner."""
    coin, partner = stage.coin(), stage.stranger()
    tx = stage.tx(stage.stranger(), coin.contract)
    alike = partner[:2] + address("alike", stage.uid)[:16] + partner[-2:]
    return [tx, Transfer(tx, coin, wallet, alike, 0, None)]


def coin_to_self(stage: Stage, wallet: bytes) -> list[Event]:
    """The wallet sends a token to itself."""
    coin = stage.coin()
    tx = stage.tx(wallet, coin.contract)
    return [tx, Transfer(tx, coin, wallet, wallet, stage.wei(), None)]


def picture(stage: Stage, wallet: bytes) -> list[Event]:
    """An ERC-721 is minted, comes, goes, or comes and goes at once."""
    token, other, way = stage.dice.pick(stage.cast.nfts), stage.stranger(), stage.dice.below(4)
    minted = int.from_bytes(address("picture", stage.uid))
    tx = stage.tx(wallet if way == 0 else other, token.contract)
    if way == 0:
        return [tx, Transfer(tx, token, ZERO_ADDRESS, wallet, 1, minted)]
    if way == 1:
        id_in = 1 + stage.dice.below(8)
        return [tx, Transfer(tx, token, other, wallet, 1, id_in)]
    if way == 2:  # noqa: PLR2004
        return [tx, Transfer(tx, token, wallet, other, 1, 1 + stage.dice.below(8))]
    there = Transfer(tx, token, other, wallet, 1, minted)
    return [tx, there, Transfer(tx, token, wallet, ZERO_ADDRESS, 1, minted)]


def items(stage: Stage, wallet: bytes) -> list[Event]:
    """An ERC-1155 batch, in which the same id comes several times."""
    token, other = stage.dice.pick(stage.cast.multis), stage.stranger()
    tx = stage.tx(other, token.contract)
    ends = (wallet, other) if stage.dice.chance(0.3) else (other, wallet)
    moves: list[Event] = [tx]
    for _ in range(1 + stage.dice.below(4)):
        number, count = stage.dice.below(2), 1 + stage.dice.below(3)
        token_id = MAX_UINT256 - 1 if stage.dice.chance(0.1) else number
        moves.append(Transfer(tx, token, *ends, count, token_id))
    return moves


def airdrop(stage: Stage, wallet: bytes) -> list[Event]:
    """A spam token is thrown at the wallet and at many others."""
    token, sender = stage.dice.pick(stage.cast.spam), stage.stranger()
    tx = stage.tx(sender, token.contract)
    token_id = None if token.action == "tokentx" else stage.dice.below(1000)
    value = 1 if token.action == "tokennfttx" else stage.wei()
    others = (wallet, stage.stranger(), stage.stranger())
    return [tx, *[Transfer(tx, token, sender, to, value, token_id) for to in others]]


def swap(stage: Stage, wallet: bytes) -> list[Event]:
    """A token goes, another comes, and the change is paid back in the native coin."""
    pool, sold, bought = stage.contract(), stage.coin(), stage.coin()
    tx = stage.tx(wallet, pool, stage.wei())
    return [
        tx,
        Internal(tx, 0, pool, wallet, None, stage.wei(), "call", failed=False),
        Transfer(tx, sold, wallet, pool, stage.wei(), None),
        Transfer(tx, bought, pool, wallet, stage.wei(), None),
    ]


PLAYS: tuple[tuple[Activity, int], ...] = (
    (receive, 5),
    (send, 5),
    (between, 3),
    (call, 2),
    (fail, 2),
    (to_self, 1),
    (create, 2),
    (inner_calls, 4),
    (coin_move, 6),
    (equal_transfers, 2),
    (junk_move, 1),
    (poison, 1),
    (coin_to_self, 1),
    (picture, 2),
    (items, 2),
    (airdrop, 2),
    (swap, 3),
)
DECK: tuple[Activity, ...] = tuple(play for play, weight in PLAYS for _ in range(weight))
