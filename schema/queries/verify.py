"""Does the ledger agree with itself? Balances against movements, and rows of nothing."""

from collections import defaultdict
from typing import NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement


class Mismatch(NamedTuple):
    """A balance that is not the sum of its movements."""

    stream_id: int
    asset_id: int
    amount_held: int
    amount_summed: int
    movements_held: int
    movements_counted: int


class StreamCheck(NamedTuple):
    """How many rows of a stream were looked at, and what did not agree."""

    movements: int
    balances: int
    mismatches: list[Mismatch]


class Orphans(NamedTuple):
    """Rows that point at nothing."""

    movements_without_stream: int
    movements_without_asset: int
    balances_without_asset: int


NONE = (0, 0)

_SUMS = Statement(
    "SELECT stream_id, asset_id, amount FROM {t}movement WHERE stream_id = :stream_id"
)
_SUMS_POSTGRES = Statement("""
SELECT asset_id, sum(amount), count(*) FROM {t}movement WHERE stream_id = :stream_id GROUP BY
  asset_id
""")
_BALANCES = Statement(
    "SELECT asset_id, amount, movements FROM {t}balance WHERE stream_id = :stream_id"
)
_STREAMS = Statement("SELECT id FROM {t}stream WHERE live ORDER BY id")
_ORPHANS = Statement("""
SELECT
  (SELECT count(*) FROM {t}movement m WHERE NOT EXISTS (SELECT 1 FROM {t}stream s WHERE s.id =
  m.stream_id)),
  (SELECT count(*) FROM {t}movement m WHERE NOT EXISTS (SELECT 1 FROM {t}asset a WHERE a.id =
  m.asset_id)),
  (SELECT count(*) FROM {t}balance b WHERE NOT EXISTS (SELECT 1 FROM {t}asset a WHERE a.id =
  b.asset_id))
""")


def stream_ids(connection: Connection) -> list[int]:
    """Every live stream."""
    return [row[0] for row in _STREAMS.run(connection)]


def check_stream(connection: Connection, stream_id: int) -> StreamCheck:
    """Compare the balances of one stream with its movements, within one snapshot."""
    summed = _summed(connection, stream_id)
    held = {row[0]: (int(row[1]), row[2]) for row in _BALANCES.run(connection, stream_id=stream_id)}
    wrong = [
        Mismatch(stream_id, asset_id, *_pair(held.get(asset_id, NONE), summed.get(asset_id, NONE)))
        for asset_id in sorted(held.keys() | summed.keys())
        if held.get(asset_id, NONE) != summed.get(asset_id, NONE)
    ]
    return StreamCheck(sum(count for _, count in summed.values()), len(held), wrong)


def orphans(connection: Connection) -> Orphans:
    """Counts of rows that point at nothing."""
    return Orphans(*_ORPHANS.run(connection).one())


def _summed(connection: Connection, stream_id: int) -> dict[int, tuple[int, int]]:
    """Sum and count per asset; SQLite's own sum would be a float."""
    if connection.dialect.name != "sqlite":
        return {
            row[0]: (int(row[1]), row[2])
            for row in _SUMS_POSTGRES.run(connection, stream_id=stream_id)
        }
    amounts: defaultdict[int, int] = defaultdict(int)
    counts: defaultdict[int, int] = defaultdict(int)
    for _, asset_id, amount in _SUMS.run(connection, stream_id=stream_id):
        amounts[asset_id] += int(amount)
        counts[asset_id] += 1
    return {asset_id: (amounts[asset_id], counts[asset_id]) for asset_id in counts}


def _pair(held: tuple[int, int], summed: tuple[int, int]) -> tuple[int, int, int, int]:
    return held[0], summed[0], held[1], summed[1]
