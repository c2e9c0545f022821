"""The price table: who is due to be asked for, and what was answered.

An asset is held when a live stream that some wallet wants has a balance of it. NFTs have no price
of their own and never get a row.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement
from schema.types import PriceState, micros_of, moment_of


class ClaimedAsset(NamedTuple):
    """An asset that is ours to ask for; ``asked_at`` fences what we answer."""

    asset_id: int
    chain_id: int
    contract: bytes | None
    symbol: str | None
    name: str | None
    state: str
    misses: int
    priced_at: datetime | None
    asked_at: Any


class Priced(NamedTuple):
    """An answer with a price."""

    price_usd: Decimal
    source: str
    priced_at: datetime
    confidence: Decimal
    flag: str | None


class Settled(NamedTuple):
    """What becomes of a claimed asset, and in how many seconds it is to be asked for again.

    Without a price and with ``misses`` as they were, nothing was learned.
    """

    asset: ClaimedAsset
    wait_s: float
    misses: int
    state: PriceState
    priced: Priced | None = None


# Nothing is held by way of a zero balance; an amount is text on SQLite.
HELD = """
SELECT b.asset_id FROM {t}stream s JOIN {t}balance b ON b.stream_id = s.id
WHERE s.live AND s.resting_since IS NULL AND b.amount <> :zero
"""
_ENROL = Statement(f"""
INSERT INTO {{t}}price (asset_id, state, next_ask_at, misses)
SELECT a.id, 'new', {{now}}, 0 FROM {{t}}asset a
WHERE a.token_id IS NULL AND a.standard IN ('native', 'erc20') AND a.chain_id {{any:chain_ids}}
  AND a.id IN ({HELD}) AND NOT EXISTS (SELECT 1 FROM {{t}}price p WHERE p.asset_id = a.id)
ORDER BY a.id
ON CONFLICT DO NOTHING
""")
_DUE = f"""
p.next_ask_at <= (SELECT {{now}}) AND p.state <> 'spam' AND p.asset_id IN ({HELD})
"""
_CLAIM = Statement(f"""
WITH due AS (
  SELECT p.asset_id FROM {{t}}price p WHERE {_DUE}
  ORDER BY p.asked_at NULLS FIRST, p.asset_id LIMIT :most {{skip}})
UPDATE {{t}}price SET asked_at = {{now}}, next_ask_at = {{in:hold_s}}
WHERE asset_id IN (SELECT asset_id FROM due)
RETURNING asset_id, asked_at
""")
_CLAIMED = Statement("""
SELECT p.asset_id, a.chain_id, a.contract, a.symbol, a.name, p.state, p.misses, p.priced_at
FROM {t}price p JOIN {t}asset a ON a.id = p.asset_id WHERE p.asset_id {any:asset_ids}
ORDER BY p.asset_id
""")
_DUE_COUNT = Statement(f"SELECT count(*) FROM {{t}}price p WHERE {_DUE}")
# Whoever was slower than its claim's end finds another asked_at, and changes nothing.
_PUT = Statement("""
UPDATE {t}price
SET state = 'priced', price_usd = :price_usd, source = :source, priced_at = :priced_at,
    confidence = :confidence, flag = :flag, misses = 0, next_ask_at = {in:wait_s}
WHERE asset_id = :asset_id AND asked_at = :asked_at
""")
_MISS = Statement("""
UPDATE {t}price
SET state = CASE WHEN state = 'priced' THEN state ELSE :state END, misses = :misses,
    next_ask_at = {in:wait_s}
WHERE asset_id = :asset_id AND asked_at = :asked_at
""")
_FORGIVE = Statement("""
UPDATE {t}price SET state = 'unknown', misses = 0, next_ask_at = {now} WHERE state = 'spam'
""")


def enrol_held(connection: Connection, chain_ids: Collection[int]) -> int:
    """Give every held coin and token of some chains a row, due at once; returns how many."""
    zero = _zero(connection)
    return _ENROL.run(connection, chain_ids=list(chain_ids), zero=zero).rowcount


def claim_due(connection: Connection, *, most: int, hold_s: float) -> list[ClaimedAsset]:
    """Take up to ``most`` due assets, those asked longest ago first; nobody else gets them.

    A claim that is never settled ends after ``hold_s`` by itself.
    """
    found: Any = _CLAIM.run(connection, most=most, hold_s=hold_s, zero=_zero(connection))
    asked_at = dict(found.all())
    rows: list[Any] = list(_CLAIMED.run(connection, asset_ids=list(asked_at)))
    return [
        ClaimedAsset(
            asset_id=row[0],
            chain_id=row[1],
            contract=None if row[2] is None else bytes(row[2]),
            symbol=row[3],
            name=row[4],
            state=row[5],
            misses=row[6],
            priced_at=_moment(row[7]),
            asked_at=asked_at[row[0]],
        )
        for row in rows
    ]


def settle(connection: Connection, settled: Sequence[Settled]) -> None:
    """Write what was learned of claimed assets; a claim that has passed on is left alone."""
    _PUT.run_many(
        connection,
        [
            _priced_row(connection, one.priced) | _common(one)
            for one in settled
            if one.priced is not None
        ],
    )
    _MISS.run_many(
        connection,
        [
            {"state": one.state.value, "misses": one.misses, **_common(one)}
            for one in settled
            if one.priced is None
        ],
    )


def due_count(connection: Connection) -> int:
    """How many held assets are due to be asked for."""
    found: Any = _DUE_COUNT.run(connection, zero=_zero(connection)).scalar_one()
    return int(found)


def forgive_spam(connection: Connection) -> int:
    """Have everything that was given up as spam asked for once more; returns how many."""
    return _FORGIVE.run(connection).rowcount


def _common(one: Settled) -> dict[str, Any]:
    asset = one.asset
    return {"asset_id": asset.asset_id, "asked_at": asset.asked_at, "wait_s": one.wait_s}


def _priced_row(connection: Connection, priced: Priced) -> dict[str, Any]:
    if connection.dialect.name != "sqlite":
        return priced._asdict()
    return {
        **priced._asdict(),
        "price_usd": str(priced.price_usd),
        "confidence": str(priced.confidence),
        "priced_at": micros_of(priced.priced_at),
    }


def _zero(connection: Connection) -> int | str:
    """Zero as an amount is stored."""
    return "0" if connection.dialect.name == "sqlite" else 0


def _moment(value: Any) -> datetime | None:
    """A stored moment, which a raw SQLite row has as microseconds."""
    return moment_of(value) if isinstance(value, int) else value
