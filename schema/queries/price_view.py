"""The price table as it is read: the prices of one address, or of all that an owner holds."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.queries.price import HELD
from schema.sql import Statement
from schema.types import moment_of

AssetKey = tuple[int, bytes | None]


class PriceRow(NamedTuple):
    """What is stored of one asset's price; all of it is None where there is no price."""

    price_usd: Decimal | None
    source: str | None
    priced_at: datetime | None
    confidence: Decimal | None
    flag: str | None


class HeldPrice(NamedTuple):
    """A held coin or token, and its price; ``state`` is None before it was first looked at."""

    asset_id: int
    chain_id: int
    contract: bytes | None
    symbol: str | None
    state: str | None
    price: PriceRow


class HeldVersion(NamedTuple):
    """Another text whenever ``prices_of_owner`` may tell something else; ``streams`` it read."""

    text: str
    streams: int


_FIELDS = "p.price_usd, p.source, p.priced_at, p.confidence, p.flag"
_OF_ADDRESS = Statement(f"""
SELECT DISTINCT a.chain_id, a.contract, {_FIELDS}
FROM {{t}}stream s JOIN {{t}}balance b ON b.stream_id = s.id
  JOIN {{t}}price p ON p.asset_id = b.asset_id JOIN {{t}}asset a ON a.id = b.asset_id
WHERE s.address_id = :address_id AND s.live AND s.chain_id {{any:chain_ids}}
  AND p.state = 'priced'
""")
_OF_OWNER = f"""
SELECT a.id, a.chain_id, a.contract, a.symbol, p.state, {_FIELDS}
FROM {{{{t}}}}asset a LEFT JOIN {{{{t}}}}price p ON p.asset_id = a.id
WHERE a.id > :after_id AND a.token_id IS NULL AND a.standard IN ('native', 'erc20') AND a.id IN (
  {HELD.replace("{", "{{").replace("}", "}}")} AND EXISTS (
    SELECT 1 FROM {{{{t}}}}wallet w WHERE w.owner = :owner AND w.address_id = s.address_id
      AND {{wants}}))
ORDER BY a.id LIMIT :most
"""
# A wallet's chains are a JSON list, which each database opens in its own way.
_WANTS_POSTGRES = (
    "s.chain_id IN (SELECT e.value::bigint FROM json_array_elements_text(w.chain_ids) e)"
)
_WANTS_SQLITE = "s.chain_id IN (SELECT e.value FROM json_each(w.chain_ids) e)"
_POSTGRES = Statement(_OF_OWNER.format(wants=_WANTS_POSTGRES))
_SQLITE = Statement(_OF_OWNER.format(wants=_WANTS_SQLITE))

# Balances change by page writes only, each of which moves its stream's next block under a token
# that no other lease had; every change of a price sets the time of its next asking.
MODULUS = 1_000_000_007  # whole microseconds of some thousand rows would overflow a sum
_STREAMS_OF_OWNER = """
SELECT s.id, s.lease_token, s.next_block FROM {t}stream s
WHERE s.live AND s.resting_since IS NULL AND s.address_id IN (
  SELECT w.address_id FROM {t}wallet w WHERE w.owner = :owner)
"""
_VERSION_POSTGRES = Statement(f"""
SELECT concat_ws('/',
  (SELECT md5(string_agg(concat_ws(':', w.address_id, w.chain_ids), ',' ORDER BY w.id))
    FROM {{t}}wallet w WHERE w.owner = :owner),
  (SELECT concat_ws(':', count(*), sum(p.misses), sum(extract(epoch FROM p.next_ask_at)))
    FROM {{t}}price p),
  md5(string_agg(concat_ws(':', v.id, v.lease_token, v.next_block), ',' ORDER BY v.id))),
  count(v.id)
FROM ({_STREAMS_OF_OWNER}) v
""")
_VERSION_SQLITE = Statement(f"""
SELECT
  (SELECT coalesce(group_concat(w.address_id || ':' || w.chain_ids), '')
    FROM (SELECT * FROM {{t}}wallet WHERE owner = :owner ORDER BY id) w) || '/' ||
  (SELECT count(*) || ':' || coalesce(sum(p.misses), 0) || ':' ||
      coalesce(sum(p.next_ask_at % {MODULUS}), 0)
    FROM {{t}}price p) || '/' ||
  coalesce(group_concat(v.id || ':' || v.lease_token || ':' || v.next_block), ''),
  count(v.id)
FROM ({_STREAMS_OF_OWNER} ORDER BY s.id) v
""")


def prices_version(connection: Connection, owner: str) -> HeldVersion:
    """By what to know that ``prices_of_owner`` still tells the same."""
    is_sqlite = connection.dialect.name == "sqlite"
    statement = _VERSION_SQLITE if is_sqlite else _VERSION_POSTGRES
    row: Any = statement.run(connection, owner=owner).one()
    return HeldVersion(str(row[0]), int(row[1]))


def prices_of_address(
    connection: Connection, address_id: int, chain_ids: Collection[int]
) -> dict[AssetKey, PriceRow]:
    """The prices there are for what an address ever held on some chains."""
    rows: list[Any] = list(
        _OF_ADDRESS.run(connection, address_id=address_id, chain_ids=list(chain_ids))
    )
    return {
        (row[0], None if row[1] is None else bytes(row[1])): _price_row(row[2:]) for row in rows
    }


def prices_of_owner(
    connection: Connection, owner: str, *, after_id: int, most: int
) -> list[HeldPrice]:
    """What an owner's wallets hold, in the order of asset ids, from the one after ``after_id``."""
    is_sqlite = connection.dialect.name == "sqlite"
    statement = _SQLITE if is_sqlite else _POSTGRES
    zero: int | str = "0" if is_sqlite else 0
    rows: list[Any] = list(
        statement.run(connection, owner=owner, after_id=after_id, most=most, zero=zero)
    )
    return [
        HeldPrice(
            asset_id=row[0],
            chain_id=row[1],
            contract=None if row[2] is None else bytes(row[2]),
            symbol=row[3],
            state=row[4],
            price=_price_row(row[5:]),
        )
        for row in rows
    ]


def _price_row(row: Any) -> PriceRow:
    """The five columns, which a raw SQLite row has as text and microseconds."""
    price_usd, source, priced_at, confidence, flag = row
    return PriceRow(
        price_usd=None if price_usd is None else Decimal(price_usd),
        source=source,
        priced_at=moment_of(priced_at) if isinstance(priced_at, int) else priced_at,
        confidence=None if confidence is None else Decimal(confidence),
        flag=flag,
    )
