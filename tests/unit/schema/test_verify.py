"""Every kind of damage is found, and what is whole is not called damaged."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from schema.engine import autocommit
from schema.queries.verify import Mismatch, Orphans
from schema.tables import Balance
from shared.ops.verify import VerifyReport, verify
from tests.conftest import Database
from tests.factories import make_address, make_asset, make_movement, make_stream, save

HUGE = 2**256 - 1


class Ledger:
    """Two streams of one address with two movements of a coin each, of the largest amounts."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.prefix = "" if database.dialect == "sqlite" else "tallybook."
        [address] = save(database.engine, make_address())
        [asset] = save(database.engine, make_asset())
        self.asset_id = int(asset.id or 0)
        kinds = ("native", "erc20")
        streams = save(
            database.engine, *(make_stream(address_id=address.id, kind=kind) for kind in kinds)
        )
        self.ids = [int(row.id or 0) for row in streams]
        for stream_id in self.ids:
            rows = [
                make_movement(stream_id=stream_id, block=block, asset_id=asset.id, amount=HUGE)
                for block in (1, 2)
            ]
            save(database.engine, *rows)
            held = Balance(
                stream_id=stream_id, asset_id=self.asset_id, amount=2 * HUGE, movements=2
            )
            save(database.engine, held)

    def damage(self, statement: str, **parameters: Any) -> None:
        rendered = statement.replace("{t}", self.prefix)
        with autocommit(self.database.engine) as connection:
            connection.execute(text(rendered), {"first": self.ids[0], **parameters})

    def verified(self) -> VerifyReport:
        return verify(self.database.engine)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def test_a_whole_ledger_agrees(ledger: Ledger) -> None:
    report = ledger.verified()

    assert report.agrees
    assert (report.streams, report.movements, report.balances) == (2, 4, 2)
    assert report.orphans == Orphans(0, 0, 0)


def test_an_empty_ledger_agrees(database: Database) -> None:
    report = verify(database.engine)

    assert report.agrees
    assert (report.streams, report.movements) == (0, 0)


DAMAGE: dict[str, tuple[str, Callable[[int, int], Mismatch]]] = {
    "an amount of one unit less": (
        f"UPDATE {{t}}balance SET amount = '{2 * HUGE - 1}' WHERE stream_id = :first",
        lambda s, a: Mismatch(s, a, 2 * HUGE - 1, 2 * HUGE, 2, 2),
    ),
    "a movement that is gone": (
        "DELETE FROM {t}movement WHERE stream_id = :first AND block = 1",
        lambda s, a: Mismatch(s, a, 2 * HUGE, HUGE, 2, 1),
    ),
    "a movement of another amount": (
        "UPDATE {t}movement SET amount = '5' WHERE stream_id = :first AND block = 1",
        lambda s, a: Mismatch(s, a, 2 * HUGE, HUGE + 5, 2, 2),
    ),
    "movements that cancel but are not counted": (
        "UPDATE {t}balance SET movements = 4 WHERE stream_id = :first",
        lambda s, a: Mismatch(s, a, 2 * HUGE, 2 * HUGE, 4, 2),
    ),
    "a balance that is gone": (
        "DELETE FROM {t}balance WHERE stream_id = :first",
        lambda s, a: Mismatch(s, a, 0, 2 * HUGE, 0, 2),
    ),
    "a balance without movements": (
        "DELETE FROM {t}movement WHERE stream_id = :first",
        lambda s, a: Mismatch(s, a, 2 * HUGE, 0, 2, 0),
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_balance_that_is_not_the_sum_of_its_movements_is_found(ledger: Ledger, kind: str) -> None:
    statement, expected = DAMAGE[kind]
    ledger.damage(statement)

    report = ledger.verified()

    assert not report.agrees
    assert report.mismatches == (expected(ledger.ids[0], ledger.asset_id),)


def test_movements_booked_to_another_asset_are_found_on_both_sides(ledger: Ledger) -> None:
    [other] = save(ledger.database.engine, make_asset())
    ledger.damage(
        "UPDATE {t}movement SET asset_id = :other WHERE stream_id = :first", other=other.id
    )

    found = ledger.verified().mismatches

    assert [(wrong.asset_id, wrong.movements_counted) for wrong in found] == [
        (ledger.asset_id, 0),
        (other.id, 2),
    ]


def test_movements_of_a_stream_that_is_gone_are_found(ledger: Ledger) -> None:
    ledger.damage("DELETE FROM {t}balance WHERE stream_id = :first")
    ledger.damage("DELETE FROM {t}stream WHERE id = :first")

    assert ledger.verified().orphans == Orphans(2, 0, 0)


def test_rows_of_an_asset_that_is_gone_are_found(ledger: Ledger) -> None:
    ledger.damage("DELETE FROM {t}asset WHERE id > 0")

    report = ledger.verified()

    assert report.orphans == Orphans(0, 4, 2)
    assert not report.agrees


def test_a_stream_that_is_being_deleted_is_not_looked_at(ledger: Ledger) -> None:
    ledger.damage("UPDATE {t}stream SET live = :no WHERE id = :first", no=False)
    ledger.damage("DELETE FROM {t}balance WHERE stream_id = :first")

    report = ledger.verified()

    assert report.agrees
    assert report.streams == 1


def test_a_balance_of_nothing_without_movements_agrees(ledger: Ledger) -> None:
    [other] = save(ledger.database.engine, make_asset())
    held = Balance(stream_id=ledger.ids[0], asset_id=int(other.id or 0), amount=0, movements=0)
    save(ledger.database.engine, held)

    assert ledger.verified().agrees
