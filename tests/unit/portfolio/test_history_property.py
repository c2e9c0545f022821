"""History: filters and pages as plain Python would, over any ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.engine import session_scope
from schema.tables import METADATA, Asset, Movement
from schema.types import MovementKind, micros_of
from shared.portfolio.history import AssetChoice, HistoryFilter
from tests.factories import make_movement, save
from tests.unit.portfolio.ledger import Ledger, at


def _balance_rows(ledger: Ledger, movements: list[Movement]) -> None:
    """What the page write keeps beside movements: which asset was ever held."""
    held = {(movement.stream_id, movement.asset_id) for movement in movements}
    rows = [
        {"stream_id": stream, "asset_id": asset, "amount": 0, "movements": 1}
        for stream, asset in held
    ]
    if rows:
        with session_scope(ledger.engine) as session:
            table = METADATA.tables["tallybook.balance"]
            session.connection().execute(table.insert(), rows)


@dataclass(frozen=True)
class Plan:
    """A random ledger of (stream, block, place, asset, kind, amount); times follow blocks."""

    rows: list[tuple[int, int, int, int, MovementKind, int]]
    seconds_per_block: int
    wanted: HistoryFilter
    chain_id: int | None
    limit: int


ROWS = st.tuples(
    st.integers(0, 3),
    st.integers(0, 12),
    st.integers(0, 5),
    st.integers(0, 3),
    st.sampled_from([MovementKind.TRANSFER, MovementKind.FEE, MovementKind.ERC20]),
    st.integers(-3, 3),
)
MOMENTS = st.none() | st.integers(-2, 15).map(at)
CHOICES = st.none() | st.sampled_from(
    [
        AssetChoice(None),
        AssetChoice(b"\x01" * 20),
        AssetChoice(b"\x02" * 20),
        AssetChoice(b"\x02" * 20, 2**255),
        AssetChoice(b"\x02" * 20, 8),
        AssetChoice(b"\x03" * 20),
    ]
)
FILTERS = st.builds(
    HistoryFilter,
    asset=CHOICES,
    kind=st.none() | st.sampled_from([MovementKind.FEE, MovementKind.ERC20]),
    direction=st.none() | st.sampled_from(["in", "out"]),
    since=MOMENTS,
    until=MOMENTS,
)
SMALL = st.lists(ROWS, max_size=12, unique_by=lambda row: row[:3])
LARGE = st.lists(ROWS, min_size=12, max_size=40, unique_by=lambda row: row[:3])
PLANS = st.builds(
    Plan,
    rows=SMALL | LARGE,
    seconds_per_block=st.integers(0, 2),
    wanted=FILTERS,
    chain_id=st.none() | st.sampled_from([1, 10, 137]),
    limit=st.integers(1, 7),
)


@contextmanager
def _filled(ledger: Ledger, plan: Plan) -> Iterator[list[tuple[Movement, int, Asset]]]:
    """The plan's movements stored, each with its chain and asset; gone afterwards."""
    movements = []
    for number, block, pos, asset, kind, amount in plan.rows:
        stream = ledger.streams[number]
        chosen = ledger.assets[stream.chain_id][asset]
        movement = make_movement(
            stream_id=stream.id,
            block=block,
            pos=pos,
            at=at(block * plan.seconds_per_block),
            asset_id=chosen.id,
            kind=int(kind),
            amount=amount,
        )
        movements.append((movement, stream.chain_id, chosen))
    save(ledger.engine, *(movement for movement, _, _ in movements))
    _balance_rows(ledger, [movement for movement, _, _ in movements])
    try:
        yield movements
    finally:
        ledger.clear()


def _matches(wanted: HistoryFilter, movement: Movement, asset: Asset) -> bool:
    sign: dict[str | None, bool] = {
        None: True,
        "in": movement.amount > 0,
        "out": movement.amount < 0,
    }
    choice = wanted.asset
    return (
        wanted.kind in {None, movement.kind}
        and sign[wanted.direction]
        and (wanted.since is None or movement.at >= wanted.since)
        and (wanted.until is None or movement.at < wanted.until)
        and (choice is None or choice.contract == asset.contract)
        and (choice is None or choice.token_id in {None, asset.token_id})
    )


def _expected(
    movements: list[tuple[Movement, int, Asset]], plan: Plan
) -> list[tuple[int, int, str, datetime]]:
    kept = [
        (movement, chain_id)
        for movement, chain_id, asset in movements
        if plan.chain_id in {None, chain_id} and _matches(plan.wanted, movement, asset)
    ]
    kept.sort(key=lambda e: (-micros_of(e[0].at), e[1], -e[0].block, -e[0].pos, e[0].stream_id))
    return [(chain, m.block, "0x" + m.tx_hash.hex(), m.at) for m, chain in kept]


def _check(ledger: Ledger, plan: Plan) -> None:
    with _filled(ledger, plan) as movements:
        pages = ledger.pages(plan.limit, plan.wanted, plan.chain_id)
        lines = [line for page in pages for line in page.items]
        expected = _expected(movements, plan)

    assert [(line.chain_id, line.block, line.tx_hash, line.at) for line in lines] == expected


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=PLANS)
def test_filters_and_pages_equal_a_plain_filter_and_sort(ledger: Ledger, plan: Plan) -> None:
    _check(ledger, plan)
