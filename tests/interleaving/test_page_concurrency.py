"""A page whose snapshot is older than a competing commit never deletes or keeps a wrong row."""

import pytest
from sqlalchemy import Connection

from schema.engine import autocommit
from schema.queries import page as pages
from schema.queries import stream, stream_view
from schema.queries.page import PageOutcome
from tests.conftest import Database
from tests.interleaving.duel import CLOSING, NOT_APPLIED, RUN, Duel


@pytest.fixture
def duel(database: Database) -> Duel:
    return Duel(database)


def test_the_same_page_delivered_by_two_counts_once(duel: Duel) -> None:
    outcome = duel.fight(lambda other: pages.write_page(other, duel.page(duel.owner, duel.told)))

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.told)


def test_another_page_of_the_same_owner_wins_by_coming_first(duel: Duel) -> None:
    outcome = duel.fight(
        lambda other: pages.write_page(other, duel.page(duel.owner, duel.rival_told))
    )

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_page_that_settled_everything_is_not_contradicted_by_a_late_one(duel: Duel) -> None:
    outcome = duel.fight(
        lambda other: pages.write_page(other, duel.page(duel.owner, duel.rival_told, 19))
    )

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_thief_without_a_page_leaves_what_there_was(duel: Duel) -> None:
    assert duel.fight(duel.steal) == NOT_APPLIED
    duel.assert_holds(duel.before)


def test_a_thief_who_wrote_wins(duel: Duel) -> None:
    def rivalry(other: Connection) -> None:
        pages.write_page(other, duel.page(duel.steal(other), duel.rival_told))

    assert duel.fight(rivalry) == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_thief_whose_cursor_is_back_where_the_page_begins_wins(duel: Duel) -> None:
    def rivalry(other: Connection) -> None:
        held = duel.steal(other)
        pages.write_page(other, duel.page(held, duel.rival_told))
        stream.close(other, held, CLOSING, RUN)
        assert duel.steal(other).next_block == 9

    assert duel.fight(rivalry) == NOT_APPLIED
    duel.assert_holds(duel.rival_told)


def test_a_page_of_a_lease_that_was_closed_is_nothing(duel: Duel) -> None:
    outcome = duel.fight(lambda other: stream.close(other, duel.owner, CLOSING, RUN))

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.before)


@pytest.mark.parametrize("rewind_to", [-1, 5, 9])
def test_a_page_of_a_lease_that_was_rewound_is_nothing(duel: Duel, rewind_to: int) -> None:
    closing = CLOSING._replace(rewind_to=rewind_to, anchors="[]")

    outcome = duel.fight(lambda other: stream.close(other, duel.owner, closing, RUN))

    assert outcome == NOT_APPLIED
    duel.assert_holds(duel.before)
    assert duel.ledger.lease().settled_block == rewind_to


def test_a_rival_that_rolled_back_never_was(duel: Duel) -> None:
    outcome = duel.fight(
        lambda other: pages.write_page(other, duel.page(duel.owner, duel.rival_told)), commit=False
    )

    assert outcome == PageOutcome(applied=True, contradicted=0, inserted=2, deleted=2)
    duel.assert_holds(duel.told)


def test_somebody_who_asks_for_the_stream_does_not_stop_its_page(duel: Duel) -> None:
    stream_id = duel.ledger.stream_id

    outcome = duel.fight(lambda other: stream_view.mark_due(other, [stream_id]))

    assert outcome.applied
    duel.assert_holds(duel.told)


def test_a_page_stolen_from_between_its_delivery_and_its_repetition_is_nothing(duel: Duel) -> None:
    engine = duel.ledger.database.engine
    page = duel.page(duel.owner, duel.told)
    with autocommit(engine) as connection:
        assert pages.write_page(connection, page).applied
    thief = duel.ledger.steal()
    with autocommit(engine) as connection:
        assert pages.write_page(
            connection, duel.page(thief, duel.rival_told, lo=20)._replace(next_block=30, rows=[])
        ).applied

    with autocommit(engine) as connection:
        assert pages.write_page(connection, page) == NOT_APPLIED

    duel.assert_holds(duel.told)


def test_what_a_reorg_moved_to_an_earlier_block_is_held_once(duel: Duel) -> None:
    moved = duel.before[2]._replace(block=11)
    late_page = [duel.before[0], duel.before[1], moved._replace(block=14)]

    def rivalry(other: Connection) -> None:
        pages.write_page(other, duel.page(duel.steal(other), [duel.before[0], moved]))

    assert duel.fight(rivalry, told=late_page) == NOT_APPLIED
    duel.assert_holds([duel.before[0], moved])


def test_what_a_reorg_moved_out_of_a_settled_block_is_held_once(duel: Duel) -> None:
    """Deeper than the settle depth: the thief rewinds while the owner still sees the old fork."""
    moved = duel.before[0]._replace(block=7)

    def rivalry(other: Connection) -> None:
        held = duel.steal(other)
        assert stream.close(other, held, CLOSING._replace(rewind_to=5, anchors="[]"), RUN)
        held = duel.steal(other)
        assert held.next_block == 5
        outcome = pages.write_page(other, duel.page(held, [moved], lo=5))
        assert (outcome.applied, outcome.deleted) == (True, 3)

    assert duel.fight(rivalry) == NOT_APPLIED
    duel.assert_holds([moved])
