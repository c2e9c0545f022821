"""A change of provider: a new generation of streams fills beside the live one and takes its place.

Numberings differ between providers, so rows of two are never merged: the API shows one generation
or the other. A generation is made, filled, and made live by one UPDATE; the old one rests from that
moment and is deleted in batches.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from schema.queries.address import first_token
from schema.sql import Statement


class Generation(NamedTuple):
    """The streams of one address on one chain that were made together."""

    address_id: int
    chain_id: int
    number: int


_LIVE = Statement("""
SELECT DISTINCT provider FROM {t}stream
WHERE address_id = :address_id AND chain_id = :chain_id AND live = :yes AND resting_since IS NULL
""")
_FILLING = Statement("""
SELECT id, generation, provider FROM {t}stream
WHERE address_id = :address_id AND chain_id = :chain_id AND live = :no AND resting_since IS NULL
ORDER BY id
""")
_NEWEST = Statement("""
SELECT coalesce(max(generation), 0) FROM {t}stream
WHERE address_id = :address_id AND chain_id = :chain_id
""")
_ADD = Statement("""
INSERT INTO {t}stream (address_id, chain_id, kind, provider, generation, live, state, lease_token,
  lease_until, settled_block, next_block, anchors, due_at, attempts, created_at)
VALUES (:address_id, :chain_id, :kind, :provider, :generation, :no, 'pending', :token,
  {epoch}, -1, 0, '[]', {now}, 0, {now})
ON CONFLICT DO NOTHING
""")
_IS_LIVE = Statement("SELECT live FROM {t}stream WHERE id = :stream_id")
_ABANDON = Statement("""
UPDATE {t}stream SET resting_since = {now}, lease_token = lease_token + 1
WHERE address_id = :address_id AND chain_id = :chain_id AND live = :no AND resting_since IS NULL
""")
_READY = Statement("""
SELECT address_id, chain_id, generation FROM {t}stream WHERE live = :no AND resting_since IS NULL
GROUP BY address_id, chain_id, generation
HAVING count(*) = sum(CASE WHEN state = 'up_to_date' THEN 1 ELSE 0 END)
ORDER BY address_id, chain_id, generation
""")
# The condition is asked again in the statement that flips: a stream may have failed meanwhile.
# A feed that a wallet came to want after the generation was begun has a higher number, and is live.
_FILLED = """
NOT EXISTS (SELECT 1 FROM {t}stream s WHERE s.address_id = :address_id AND s.chain_id = :chain_id
  AND s.generation = :number
  AND (s.live = :yes OR s.state <> 'up_to_date' OR s.resting_since IS NOT NULL))
"""
_FLIP = Statement(f"""
UPDATE {{t}}stream SET live = (generation = :number),
  resting_since = CASE WHEN generation = :number THEN NULL
    ELSE coalesce(resting_since, {{now}}) END,
  lease_token = CASE WHEN generation = :number THEN lease_token ELSE lease_token + 1 END
WHERE address_id = :address_id AND chain_id = :chain_id
  AND (generation <= :number OR live = :yes) AND {_FILLED}
""")
# A sub-select is not asked again after a wait: who gave the generation up while we waited for its
# rows is seen only by a condition on the rows themselves. That is done to all of them or none.
_FLIP_POSTGRES = Statement(f"""
WITH up AS (
  UPDATE {{t}}stream SET live = :yes
  WHERE address_id = :address_id AND chain_id = :chain_id AND generation = :number
    AND live = :no AND resting_since IS NULL AND {_FILLED}
  RETURNING id),
down AS (
  UPDATE {{t}}stream SET live = :no, resting_since = coalesce(resting_since, {{now}}),
    lease_token = lease_token + 1
  WHERE address_id = :address_id AND chain_id = :chain_id
    AND (generation < :number OR (live = :yes AND generation > :number))
    AND (SELECT count(*) FROM up) > 0
  RETURNING id)
SELECT count(*) FROM up
""")


def live_providers(connection: Connection, address_id: int, chain_id: int) -> list[str]:
    """The providers that the live streams are read from; none when nothing is watched."""
    found = _LIVE.run(connection, address_id=address_id, chain_id=chain_id, yes=True)
    return sorted(row[0] for row in found)


def filling(connection: Connection, address_id: int, chain_id: int) -> list[tuple[int, int, str]]:
    """Streams (id, generation, provider) of a generation that is not live yet."""
    found = _FILLING.run(connection, address_id=address_id, chain_id=chain_id, no=False)
    return [(row[0], row[1], row[2]) for row in found]


def begin(
    connection: Connection, address_id: int, chain_id: int, provider: str, kinds: Sequence[str]
) -> None:
    """Make the next generation's streams. Whoever holds the address's lock calls it."""
    number = _NEWEST.run(connection, address_id=address_id, chain_id=chain_id).scalar_one() + 1
    token = first_token(connection)
    for kind in kinds:
        _ADD.run(
            connection,
            address_id=address_id,
            chain_id=chain_id,
            kind=kind,
            provider=provider,
            generation=number,
            no=False,
            token=token,
        )


def abandon(connection: Connection, address_id: int, chain_id: int) -> None:
    """Give up a generation that is not live yet; it is deleted like every resting one."""
    _ABANDON.run(connection, address_id=address_id, chain_id=chain_id, no=False)


def is_live(connection: Connection, stream_id: int) -> bool:
    """Whether a stream counts in balances and history."""
    return bool(_IS_LIVE.run(connection, stream_id=stream_id).scalar_one_or_none())


def ready(connection: Connection) -> list[Generation]:
    """Generations that are filled and wait to be made live."""
    return [Generation(*row) for row in _READY.run(connection, no=False)]


def flip(connection: Connection, generation: Generation) -> bool:
    """Make a filled generation live and let the older ones rest; False when it is not filled."""
    if connection.dialect.name == "sqlite":
        return _FLIP.run(connection, **generation._asdict(), yes=True).rowcount > 0
    found = _FLIP_POSTGRES.run(connection, **generation._asdict(), yes=True, no=False)
    return bool(found.scalar_one())
