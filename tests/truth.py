"""What the ledger says of an account against what the oracle knows, on either database."""

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from schema.engine import reading
from schema.sql import Statement
from schema.types import MovementKind
from shared.emulator import oracle
from shared.emulator.truth import Move
from shared.emulator.world import World

MICROS = 10**6
Holdings = dict[tuple[bytes | None, int | None], int]

_MOVEMENTS = Statement("""
SELECT s.kind, m.block, m.tx_hash, a.contract, a.token_id, m.counterparty, m.amount, m.kind,
  m.at, s.settled_block
FROM {t}movement m JOIN {t}stream s ON s.id = m.stream_id JOIN {t}asset a ON a.id = m.asset_id
JOIN {t}address d ON d.id = s.address_id
WHERE d.account = :account AND s.chain_id = :chain_id AND s.live = :yes
""")
_BALANCES = Statement("""
SELECT a.contract, a.token_id, b.amount FROM {t}balance b JOIN {t}stream s ON s.id = b.stream_id
JOIN {t}asset a ON a.id = b.asset_id JOIN {t}address d ON d.id = s.address_id
WHERE d.account = :account AND s.chain_id = :chain_id AND s.live = :yes
""")
_STREAMS = Statement("""
SELECT s.id, s.kind, s.state, s.settled_block, s.synced_block, s.lease_token, s.error_code,
  s.error_detail
FROM {t}stream s JOIN {t}address d ON d.id = s.address_id
WHERE d.account = :account AND s.chain_id = :chain_id AND s.live = :yes ORDER BY s.id
""")


class StreamRow(NamedTuple):
    """A live stream as it stands."""

    id: int
    kind: str
    state: str
    settled_block: int
    synced_block: int | None
    token: int
    error_code: str | None
    error_detail: str | None


def hexed(wallet: bytes) -> str:
    """An account as the product writes it."""
    return "0x" + wallet.hex()


def _asked(connection: Connection, statement: Statement, wallet: bytes, chain_id: int) -> Any:
    return statement.run(connection, account=hexed(wallet), chain_id=chain_id, yes=True).all()


def streams(engine: Engine, wallet: bytes, chain_id: int) -> list[StreamRow]:
    """The live streams of an account on a chain."""
    with reading(engine) as connection:
        rows = _asked(connection, _STREAMS, wallet, chain_id)
    return [StreamRow(*row) for row in rows]


def movements(
    engine: Engine, wallet: bytes, chain_id: int, *, settled_only: bool = False
) -> Counter[Move]:
    """Every movement that the ledger has of an account, without its place."""
    with reading(engine) as connection:
        rows = _asked(connection, _MOVEMENTS, wallet, chain_id)
    return Counter(
        Move(
            kind,
            block,
            bytes(tx_hash),
            None if contract is None else bytes(contract),
            None if token_id is None else int(token_id),
            None if counterparty is None else bytes(counterparty),
            int(amount),
            MovementKind(why).name,
            at // MICROS if isinstance(at, int) else int(at.timestamp()),
        )
        for (
            kind,
            block,
            tx_hash,
            contract,
            token_id,
            counterparty,
            amount,
            why,
            at,
            settled,
        ) in rows
        if not settled_only or block <= settled
    )


def balances(engine: Engine, wallet: bytes, chain_id: int) -> Holdings:
    """Balances over all live streams, zeros left out."""
    sums: defaultdict[tuple[bytes | None, int | None], int] = defaultdict(int)
    with reading(engine) as connection:
        rows = _asked(connection, _BALANCES, wallet, chain_id)
    for contract, token_id, amount in rows:
        key = (
            None if contract is None else bytes(contract),
            None if token_id is None else int(token_id),
        )
        sums[key] += int(amount)
    return {asset: amount for asset, amount in sums.items() if amount}


def true_movements(
    world: World, wallet: bytes, chain_id: int, kinds: Collection[str]
) -> Counter[Move]:
    """The oracle's movements of those feeds."""
    known = oracle.movements(world, wallet, chain_id)
    return Counter({move: count for move, count in known.items() if move.stream in kinds})


def true_balances(moves: Counter[Move]) -> Holdings:
    """What movements sum to, zeros left out."""
    sums: defaultdict[tuple[bytes | None, int | None], int] = defaultdict(int)
    for move, count in moves.items():
        sums[move.contract, move.token_id] += move.amount * count
    return {asset: amount for asset, amount in sums.items() if amount}


def assert_ledger_is_true(engine: Engine, world: World, wallet: bytes, chain_id: int) -> None:
    """Movements and balances of the feeds that are followed equal the oracle's."""
    kinds = {stream.kind for stream in streams(engine, wallet, chain_id)}
    assert kinds, "nothing is followed"
    true = true_movements(world, wallet, chain_id, kinds)
    told = movements(engine, wallet, chain_id)
    assert told == true, f"missing {true - told}, too many {told - true}"
    assert balances(engine, wallet, chain_id) == true_balances(true)


def assert_settled_is_true(engine: Engine, world: World, wallet: bytes, chain_id: int) -> None:
    """Whatever a stream calls settled is what the chain holds."""
    settled = {row.kind: row.settled_block for row in streams(engine, wallet, chain_id)}
    true = Counter(
        {
            move: count
            for move, count in true_movements(world, wallet, chain_id, settled).items()
            if move.block <= settled[move.stream]
        }
    )
    told = movements(engine, wallet, chain_id, settled_only=True)
    assert told == true, f"settled: missing {true - told}, too many {told - true}"
