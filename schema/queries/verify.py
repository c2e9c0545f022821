"""Does the ledger agree with itself? Movements against balances, and rows that belong to nothing."""

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


class Orphans(NamedTuple):
    """Rows that point at nothing."""

    movements_without_stream: int
    movements_without_asset: int
    balances_without_asset: int


_SUMS = Statement("SELECT stream_id, asset_id, amount FROM {t}movement WHERE stream_id = :stream_id")
_SUMS_POSTGRES = Statement("""
SELECT asset_id, sum(amount), count(*) FROM {t}movement WHERE stream_id = :stream_id GROUP BY asset_id
""")
_BALANCES = Statement("SELECT asset_id, amount, movements FROM {t}balance WHERE stream_id = :stream_id")
_STREAMS = Statement("SELECT id FROM {t}stream WHERE live ORDER BY id")
_ORPHANS = Statement("""
SELECT
  (SELECT count(*) FROM {t}movement m WHERE NOT EXISTS (SELECT 1 FROM {t}stream s WHERE s.id = m.stream_id)),
  (SELECT count(*) FROM {t}movement m WHERE NOT EXISTS (SELECT 1 FROM {t}asset a WHERE a.id = m.asset_id)),
  (SELECT count(*) FROM {t}balance b WHERE NOT EXISTS (SELECT 1 FROM {t}asset a WHERE a.id = b.asset_id))
""")


def stream_ids(connection: Connection) -> list[int]:
    """Every live stream."""
    return [row[0] for row in _STREAMS.run(connection)]


def mismatches(connection: Connection, stream_id: int) -> tuple[list[Mismatch], int]:
    """Balances of one stream that differ from the sum and count of its movements, and how many movements it has.

    Reads inside one transaction or statement pair; run it while nobody writes, or twice.
    """
    summed = _summed(connection, stream_id)
    held = {row[0]: (int(row[1]), row[2]) for row in _BALANCES.run(connection, stream_id=stream_id)}
    wrong = [
        Mismatch(stream_id, asset_id, *_pair(held.get(asset_id, (0, 0)), summed.get(asset_id, (0, 0))))
        for asset_id in sorted(held.keys() | summed.keys())
        if held.get(asset_id, (0, 0)) != summed.get(asset_id, (0, 0))
    ]
    return wrong, sum(count for _, count in summed.values())


def orphans(connection: Connection) -> Orphans:
    """Counts of rows that point at nothing."""
    return Orphans(*_ORPHANS.run(connection).one())


def _summed(connection: Connection, stream_id: int) -> dict[int, tuple[int, int]]:
    """Sum and count per asset; SQLite's own sum would be a float."""
    if connection.dialect.name != "sqlite":
        return {row[0]: (int(row[1]), row[2]) for row in _SUMS_POSTGRES.run(connection, stream_id=stream_id)}
    amounts: defaultdict[int, int] = defaultdict(int)
    counts: defaultdict[int, int] = defaultdict(int)
    for _, asset_id, amount in _SUMS.run(connection, stream_id=stream_id):
        amounts[asset_id] += int(amount)
        counts[asset_id] += 1
    return {asset_id: (amounts[asset_id], counts[asset_id]) for asset_id in counts}


def _pair(held: tuple[int, int], summed: tuple[int, int]) -> tuple[int, int, int, int]:
    return held[0], summed[0], held[1], summed[1]
