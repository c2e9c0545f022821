"""A lease that somebody else may be about to change: nobody waits for it, and one gets it."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from schema.queries import page as pages
from schema.queries import stream, stream_view
from schema.queries.stream import Lease
from tests.conftest import Database
from tests.interleaving.duel import CLOSING, RUN, Duel
from tests.interleaving.rivals import at_once, impatient
from tests.unit.schema.test_page import LEASE_S

REWINDING = CLOSING._replace(rewind_to=5, anchors="[]")

UnderWay = Callable[[Duel, Connection], object]
UNDER_WAY: dict[str, UnderWay] = {
    "a page": lambda duel, other: pages.write_page(other, duel.page(duel.owner, duel.told)),
    "another thief": lambda duel, other: take(duel, other, "first"),
    "a close": lambda duel, other: stream.close(other, duel.owner, CLOSING, RUN),
    "a rewind": lambda duel, other: stream.close(other, duel.owner, REWINDING, RUN),
    "a request": lambda duel, other: stream_view.mark_due(other, [duel.ledger.stream_id]),
    "a lock": lambda _, other: other.execute(text("SELECT 1 FROM tallybook.stream FOR UPDATE")),
}
KEEPS_THE_STREAM = {"a page", "another thief"}


@pytest.fixture
def expired(database: Database) -> Duel:
    """An owner whose lease has ended: to whoever looks now the stream is free."""
    duel = Duel(database)
    database.advance(LEASE_S + 1)
    return duel


def take(duel: Duel, connection: Connection, holder: str) -> Lease | None:
    return stream.lease(connection, duel.ledger.stream_id, lease_s=LEASE_S, holder=holder)


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize("name", UNDER_WAY)
def test_a_thief_goes_away_at_once_and_gets_what_is_left(
    expired: Duel, name: str, commit: bool
) -> None:
    engine = expired.ledger.database.engine
    with engine.connect() as other, other.begin() as transaction:
        UNDER_WAY[name](expired, other)
        with impatient(engine) as thief:
            assert take(expired, thief, "thief") is None
        if not commit:
            transaction.rollback()

    with impatient(engine) as thief:
        taken = take(expired, thief, "thief")
    assert (taken is None) is (commit and name in KEEPS_THE_STREAM)


def test_of_thieves_who_come_at_once_again_and_again_one_gets_it(expired: Duel) -> None:
    database, tokens = expired.ledger.database, [expired.owner.token]

    def thief(name: str) -> Lease | None:
        with impatient(database.engine) as connection:
            return take(expired, connection, name)

    for _ in range(20):
        found = at_once(*(lambda name=name: thief(name) for name in "abcd"))
        [winner] = [lease for lease in found if lease is not None]
        tokens.append(winner.token)
        database.advance(LEASE_S + 1)

    assert tokens == list(range(tokens[0], tokens[0] + 21))
