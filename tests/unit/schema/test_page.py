"""A page asserts a range: whatever is delivered, ledger and balances say what it said."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from sqlalchemy import text

from schema.engine import autocommit, reading
from schema.queries import page as pages
from schema.queries import stream, verify
from schema.queries.page import MovementRow, PageOutcome, PageWrite
from schema.queries.stream import Closing, Lease, RunRow
from tests.conftest import Database
from tests.factories import make_address, make_asset, make_stream, save

LEASE_S = 30.0
HUGE = 2**256 - 1


class Ledger:
    """One stream of one database, and short ways to act on it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        [address] = save(database.engine, make_address())
        saved = save(database.engine, *(make_asset() for _ in range(4)))
        self.assets = [asset.id for asset in saved if asset.id is not None]
        [row] = save(database.engine, make_stream(address_id=address.id))
        assert row.id is not None
        self.stream_id = row.id

    def lease(self) -> Lease:
        with autocommit(self.database.engine) as connection:
            held = stream.lease(connection, self.stream_id, lease_s=LEASE_S, holder="test")
        assert held is not None
        return held

    def steal(self) -> Lease:
        self.database.advance(LEASE_S + 1)
        return self.lease()

    def write(
        self, held: Lease, lo: int, hi: int, rows: list[MovementRow], settle_to: int = -1
    ) -> PageOutcome:
        write = PageWrite(
            stream_id=self.stream_id,
            token=held.token,
            lo=lo,
            next_block=hi + 1,
            settle_to=settle_to,
            pass_head=10_000,
            lease_s=LEASE_S,
            anchors=None,
            rows=rows,
        )
        with autocommit(self.database.engine) as connection:
            return pages.write_page(connection, write)

    def end_pass(self, held: Lease, rewind_to: int | None = None) -> bool:
        closing = Closing(
            state="up_to_date",
            due_in_s=-1.0,
            attempts=0,
            provider="etherscan",
            page_rows=None,
            pass_head=None,
            synced=True,
            error=None,
            rewind_to=rewind_to,
            anchors="[]",
        )
        run = RunRow(0.0, 0, 0, 0, 0, 0, "done", None)
        with autocommit(self.database.engine) as connection:
            return stream.close(connection, held, closing, run)

    def rows(self) -> list[MovementRow]:
        columns = ", ".join("at" if name == "at_s" else name for name in MovementRow._fields)
        query = f"SELECT {columns} FROM {{}} ORDER BY block, pos"
        table = "movement" if self.database.dialect == "sqlite" else "tallybook.movement"
        with reading(self.database.engine) as connection:
            found = connection.execute(text(query.format(table))).all()
        at_s = (
            (lambda at: at // 1_000_000)
            if self.database.dialect == "sqlite"
            else (lambda at: int(at.timestamp()))
        )
        return [
            MovementRow._make((*row[:2], at_s(row[2]), *row[3:7], int(row[7]))) for row in found
        ]

    def balances(self) -> dict[int, tuple[int, int]]:
        table = "balance" if self.database.dialect == "sqlite" else "tallybook.balance"
        with reading(self.database.engine) as connection:
            found = connection.execute(
                text(f"SELECT asset_id, amount, movements FROM {table}")
            ).all()
        return {row[0]: (int(row[1]), row[2]) for row in found if row[2]}

    def agrees(self) -> bool:
        with reading(self.database.engine) as connection:
            return verify.check_stream(connection, self.stream_id).mismatches == []


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def row(block: int, pos: int, asset_id: int, amount: int = 5, tx: int = 1) -> MovementRow:
    return MovementRow(
        block, pos, 1_700_000_000 + block, asset_id, 1, tx.to_bytes(32), b"c" * 20, amount
    )


def totals(rows: list[MovementRow]) -> dict[int, tuple[int, int]]:
    amounts: Counter[int] = Counter()
    counts: Counter[int] = Counter()
    for movement in rows:
        amounts[movement.asset_id] += movement.amount
        counts[movement.asset_id] += 1
    return {asset: (amounts[asset], counts[asset]) for asset in counts}


def test_page_writes_its_rows_and_moves_the_balances(ledger: Ledger) -> None:
    rows = [
        row(3, 1, ledger.assets[0], HUGE),
        row(3, 2, ledger.assets[0], HUGE),
        row(9, 1, ledger.assets[1], -HUGE),
    ]

    outcome = ledger.write(ledger.lease(), 0, 9, rows)

    assert outcome == PageOutcome(applied=True, contradicted=0, inserted=3, deleted=0)
    assert ledger.rows() == rows
    assert ledger.balances() == {ledger.assets[0]: (2 * HUGE, 2), ledger.assets[1]: (-HUGE, 1)}


def test_empty_page_only_moves_the_cursor(ledger: Ledger) -> None:
    assert ledger.write(ledger.lease(), 0, 500, []) == PageOutcome(True, 0, 0, 0)
    assert ledger.rows() == []


def test_page_delivered_again_changes_nothing(ledger: Ledger) -> None:
    held = ledger.lease()
    rows = [row(block, 1, ledger.assets[0]) for block in range(10)]
    ledger.write(held, 0, 9, rows)

    late = ledger.write(held, 0, 9, rows)
    assert late == PageOutcome(False, 0, 0, 0)
    ledger.end_pass(held)
    again = ledger.write(ledger.lease(), 0, 9, rows)

    assert again == PageOutcome(True, 0, 0, 0)
    assert ledger.rows() == rows
    assert ledger.balances() == totals(rows)


def test_tail_takes_the_shape_of_the_newest_page(ledger: Ledger) -> None:
    held = ledger.lease()
    ledger.write(held, 0, 9, [row(5, 1, ledger.assets[0], 7), row(7, 1, ledger.assets[1], 8)])
    ledger.end_pass(held)
    moved = [
        row(4, 1, ledger.assets[0], 7),
        row(7, 1, ledger.assets[1], 9),
        row(7, 2, ledger.assets[2], 1),
    ]

    outcome = ledger.write(ledger.lease(), 0, 9, moved)

    assert outcome == PageOutcome(True, 0, 3, 2)
    assert ledger.rows() == moved
    assert ledger.balances() == totals(moved)


@pytest.mark.parametrize("change", ["gone", "different", "more", "counterparty"])
def test_page_that_contradicts_a_settled_block_writes_nothing(ledger: Ledger, change: str) -> None:
    held = ledger.lease()
    rows = [row(5, 1, ledger.assets[0]), row(7, 1, ledger.assets[0])]
    ledger.write(held, 0, 9, rows, settle_to=5)
    ledger.end_pass(held)
    told = {
        "gone": [rows[1]],
        "different": [row(5, 1, ledger.assets[0], 6), rows[1]],
        "more": [*rows, row(5, 2, ledger.assets[1])],
        "counterparty": [rows[0]._replace(counterparty=None), rows[1]],
    }[change]
    held = ledger.lease()
    assert held.next_block == 5

    outcome = ledger.write(held, 5, 9, [*told, row(8, 1, ledger.assets[2])])

    assert outcome == PageOutcome(False, 1, 0, 0)
    assert ledger.rows() == rows
    assert ledger.balances() == totals(rows)


def test_stale_writer_changes_nothing_and_reports_no_contradiction(ledger: Ledger) -> None:
    stale = ledger.lease()
    owner = ledger.steal()
    rows = [row(5, 1, ledger.assets[0])]
    ledger.write(owner, 0, 9, rows, settle_to=9)

    assert ledger.write(stale, 0, 9, []) == PageOutcome(False, 0, 0, 0)
    assert ledger.rows() == rows


def test_token_is_spent_by_closing(ledger: Ledger) -> None:
    held = ledger.lease()
    assert ledger.end_pass(held)

    assert not ledger.write(held, 0, 9, [row(1, 1, ledger.assets[0])]).applied
    assert not ledger.end_pass(held)


def test_page_of_a_wrong_place_changes_nothing(ledger: Ledger) -> None:
    held = ledger.lease()

    assert not ledger.write(held, 4, 9, [row(5, 1, ledger.assets[0])]).applied
    assert ledger.rows() == []


def test_rewind_is_the_only_way_back(ledger: Ledger) -> None:
    held = ledger.lease()
    rows = [row(5, 1, ledger.assets[0]), row(7, 1, ledger.assets[0])]
    ledger.write(held, 0, 9, rows, settle_to=8)
    ledger.end_pass(held)
    held = ledger.lease()
    assert (held.settled_block, held.next_block) == (8, 8)
    assert ledger.end_pass(held, rewind_to=2)

    held = ledger.lease()
    assert (held.settled_block, held.next_block) == (2, 2)
    assert ledger.write(held, 2, 9, [row(6, 1, ledger.assets[1])], settle_to=8) == PageOutcome(
        True, 0, 1, 2
    )
    assert ledger.balances() == {ledger.assets[1]: (5, 1)}


def test_ten_thousand_rows_fit_into_one_page(ledger: Ledger) -> None:
    rows = [
        row(block, pos, ledger.assets[pos % 4], block - pos)
        for block in range(100)
        for pos in range(100)
    ]

    assert ledger.write(ledger.lease(), 0, 99, rows).inserted == 10_000
    assert ledger.balances() == totals(rows)


@pytest.mark.parametrize("seed", range(12))
def test_random_pages_thieves_and_reorgs_leave_what_the_last_owner_said(
    ledger: Ledger, seed: int
) -> None:
    rng = random.Random(seed)
    chain = {block: _block(rng, block, ledger.assets) for block in range(60)}
    held: Lease = ledger.lease()
    stale: Lease | None = None
    settled = -1
    for _ in range(rng.randint(2, 5)):
        for block in range(max(settled + 1, 30), 60):
            if rng.random() < 0.5:
                chain[block] = _block(rng, block, ledger.assets)
        cuts = sorted({held.next_block, *rng.sample(range(held.next_block + 1, 61), 4), 60})
        for lo, end in pairwise(cuts):
            if rng.random() < 0.2:
                stale, held = held, ledger.steal()
                assert held.next_block == lo
            rows = [movement for block in range(lo, end) for movement in chain[block]]
            rng.shuffle(rows)
            if stale is not None:
                assert not ledger.write(stale, lo, end - 1, rows[: len(rows) // 2]).applied
            assert ledger.write(held, lo, end - 1, rows, settle_to=25).applied
            if rng.random() < 0.3:
                assert not ledger.write(held, lo, end - 1, rows).applied
            assert ledger.agrees()
        settled = 25
        assert ledger.rows() == sorted(movement for rows in chain.values() for movement in rows)
        ledger.end_pass(held)
        held = ledger.lease()
    assert ledger.balances() == totals([movement for rows in chain.values() for movement in rows])


def _block(rng: random.Random, block: int, assets: list[int]) -> list[MovementRow]:
    amounts = (HUGE, -HUGE, 0, 1, -3)
    return [
        row(
            block,
            pos << 40,
            rng.choice(assets),
            rng.choice(amounts),
            tx=rng.randint(1, 9),
        )
        for pos in sorted(rng.sample(range(20), rng.randint(0, 4)))
    ]
