"""History pages: every row once, in one order, whatever arrives; filters as plain Python would."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from schema.engine import session_scope
from schema.queries.history import OfAddress, OfWallet, Subject
from schema.tables import METADATA, Asset, Movement, Stream
from schema.types import MovementKind, micros_of
from shared.errors import InvalidCursorError
from shared.portfolio.history import AssetChoice, HistoryFilter, HistoryPage, history_page
from tests.conftest import Database
from tests.factories import make_address, make_asset, make_movement, make_stream, make_wallet, save
from tests.fakes import START

OWNER = "local"
CHAINS = (1, 10)
KINDS = ("native", "erc20")


@dataclass
class Ledger:
    """Four streams of one address on two chains, and the assets of each chain."""

    engine: Engine
    wallet_id: int
    address_id: int
    streams: list[Stream]
    assets: dict[int, list[Asset]]

    def page(
        self,
        cursor: str | None = None,
        limit: int = 3,
        wanted: HistoryFilter | None = None,
        *,
        chain_id: int | None = None,
        by: Subject | None = None,
    ) -> HistoryPage:
        return history_page(
            self.engine,
            by or OfWallet(OWNER, self.wallet_id, chain_id),
            wanted=wanted or HistoryFilter(),
            limit=limit,
            cursor=cursor,
        )

    def pages(
        self, limit: int, wanted: HistoryFilter | None = None, chain_id: int | None = None
    ) -> list[HistoryPage]:
        found = [self.page(None, limit, wanted, chain_id=chain_id)]
        while found[-1].next_cursor is not None:
            found.append(self.page(found[-1].next_cursor, limit, wanted, chain_id=chain_id))
        return found

    def amounts(self, limit: int, wanted: HistoryFilter | None = None) -> list[str]:
        return [line.amount_raw for page in self.pages(limit, wanted) for line in page.items]

    def add(self, number: int, **changes: object) -> Movement:
        stream = self.streams[number]
        assets = self.assets[stream.chain_id]
        asset_id = changes.pop("asset_id", assets[0].id)
        movement = make_movement(stream_id=stream.id, asset_id=asset_id, **changes)
        with session_scope(self.engine) as session:
            session.add(movement)
        return movement

    def clear(self) -> None:
        with session_scope(self.engine) as session:
            connection = session.connection()
            for table in ("movement", "balance"):
                connection.execute(delete(METADATA.tables[f"tallybook.{table}"]))


def _ledger(engine: Engine) -> Ledger:
    (address,) = save(engine, make_address())
    streams = save(
        engine,
        *(
            make_stream(address_id=address.id, chain_id=chain, kind=kind)
            for chain in CHAINS
            for kind in KINDS
        ),
    )
    assets = {
        chain: save(
            engine,
            make_asset(chain_id=chain, contract=None, standard="native"),
            make_asset(chain_id=chain, contract=b"\x01" * 20, symbol="TOK", decimals=6),
            make_asset(chain_id=chain, contract=b"\x02" * 20, standard="erc721", token_id=2**255),
            make_asset(chain_id=chain, contract=b"\x02" * 20, standard="erc721", token_id=7),
        )
        for chain in CHAINS
    }
    (wallet,) = save(engine, make_wallet(address_id=address.id, chain_ids=list(CHAINS)))
    assert address.id is not None
    assert wallet.id is not None
    return Ledger(engine, wallet.id, address.id, streams, assets)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return _ledger(database.engine)


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_an_address_without_movements_has_an_empty_history(ledger: Ledger) -> None:
    assert ledger.page() == HistoryPage([], None)


def test_a_wallet_and_its_address_tell_the_same(ledger: Ledger) -> None:
    for number in range(4):
        ledger.add(number, block=number, at=_at(number))

    both = ledger.page(by=OfAddress(ledger.address_id, list(CHAINS)), limit=9)
    one = ledger.page(by=OfAddress(ledger.address_id, [10]), limit=9)

    assert len(both.items) == 4
    assert ledger.page(limit=9) == both
    assert ledger.page(limit=9, chain_id=10) == one
    assert {line.chain_id for line in one.items} == {10}


def test_nothing_is_told_of_a_wallet_of_somebody_else(ledger: Ledger) -> None:
    ledger.add(0)

    for wanted in (HistoryFilter(), HistoryFilter(since=_at(-99))):
        assert ledger.page(by=OfWallet("mallory", ledger.wallet_id), wanted=wanted).items == []
        assert ledger.page(by=OfWallet(OWNER, ledger.wallet_id + 1), wanted=wanted).items == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_a_time_that_falls_within_a_stream_loses_no_row(ledger: Ledger, limit: int) -> None:
    # As between two pages of a reorganisation, when the new block 10 is later than the old 11.
    for block, at_s in ((9, 9), (10, 20), (11, 11), (12, 12)):
        ledger.add(0, block=block, at=START + timedelta(seconds=at_s), amount=block)

    assert ledger.amounts(limit) == ["12", "11", "10", "9"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_equal_times_over_two_chains_lose_no_row(ledger: Ledger, limit: int) -> None:
    for number, count in ((0, 2), (2, 3)):
        for block in range(count):
            ledger.add(number, block=10 + block, at=START, amount=100 * (number + 1) + block)

    assert ledger.amounts(limit) == ["101", "100", "302", "301", "300"]


def test_equal_times_are_ordered_by_chain_block_place_and_stream(ledger: Ledger) -> None:
    ledger.add(2, block=900, pos=1, at=_at(50), amount=5)  # another chain: after chain 1
    ledger.add(0, block=100, pos=1, at=_at(50), amount=4)
    ledger.add(1, block=100, pos=2, at=_at(50), amount=3)
    ledger.add(1, block=101, pos=1, at=_at(50), amount=2)
    ledger.add(3, block=1, pos=1, at=_at(60), amount=1)
    ledger.add(1, block=99, pos=1, at=_at(40), amount=6)

    for limit in range(1, 8):
        assert ledger.amounts(limit) == ["1", "2", "3", "4", "5", "6"]


def test_a_full_last_page_has_no_cursor(ledger: Ledger) -> None:
    for number in range(4):
        ledger.add(number, block=10 + number)

    assert ledger.page(limit=4).next_cursor is None
    assert [len(page.items) for page in ledger.pages(2)] == [2, 2]


def test_rows_arriving_on_top_disturb_no_one_who_is_paging(ledger: Ledger) -> None:
    for block in (10, 20, 30):
        ledger.add(0, block=block, at=_at(block), amount=block)
    ledger.add(2, block=5, at=_at(5), amount=5)
    first = ledger.page(limit=2)

    # On top of a stream that showed rows, of one that showed none yet, and of one that was empty.
    for number in (0, 2, 3):
        ledger.add(number, block=40, at=_at(40), amount=40)
        ledger.add(number, block=6, at=_at(6), amount=6)
    ledger.add(2, block=5, pos=2**62, at=_at(5), amount=55)
    second = ledger.page(first.next_cursor, limit=10)

    assert [line.amount_raw for line in first.items] == ["30", "20"]
    # What came below the place one stood at belongs there; what came on top is for the next time.
    assert [line.amount_raw for line in second.items] == ["10", "6", "5"]
    assert second.next_cursor is None


def test_blocks_and_places_beyond_32_bits_page_well(ledger: Ledger) -> None:
    for block, pos in ((2**31 + 5, 2**40), (2**40, 2**62), (2**62, 2**63 - 1), (2**31, 0)):
        ledger.add(0, block=block, pos=pos, at=_at(block % 1000), amount=block)
        ledger.add(2, block=block, pos=pos, at=_at(block % 1000), amount=block + 1)

    assert len(ledger.amounts(1)) == 8
    assert len(set(ledger.amounts(1))) == 8


def test_amounts_beyond_any_number_type_come_whole(ledger: Ledger) -> None:
    ledger.add(0, block=1, amount=2**256 - 1)
    ledger.add(0, block=2, amount=-(2**256 - 1), pos=5)

    assert ledger.amounts(5) == [str(-(2**256 - 1)), str(2**256 - 1)]


def test_a_line_says_what_an_explorer_says(ledger: Ledger) -> None:
    token = ledger.assets[10][1]
    counterparty = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
    ledger.add(
        3,
        block=7,
        at=_at(0),
        asset_id=token.id,
        kind=int(MovementKind.ERC20),
        tx_hash=b"\xab" * 32,
        counterparty=counterparty,
        amount=-5,
    )

    (line,) = ledger.page().items

    assert line.chain_id == 10
    assert line.at == START
    assert line.tx_hash == "0x" + "ab" * 32
    assert (line.kind, line.direction, line.amount_raw) == ("erc20", "out", "-5")
    assert line.counterparty == "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert (line.contract, line.symbol, line.decimals) == ("0x" + "01" * 20, "TOK", 6)
    assert line.token_id is None


@pytest.mark.parametrize(
    ("tx_hash", "shown"),
    [(b"", None), (b"\xcd" * 20, "GENESIS_" + "cd" * 20), (b"\x00" * 32, "0x" + "00" * 32)],
)
def test_rows_without_a_transaction_show_no_made_up_hash(
    ledger: Ledger, tx_hash: bytes, shown: str | None
) -> None:
    ledger.add(0, tx_hash=tx_hash, amount=0)

    (line,) = ledger.page().items

    assert (line.tx_hash, line.direction, line.symbol) == (shown, None, "ETH")


def test_a_stream_that_is_not_live_stays_out(ledger: Ledger) -> None:
    old = make_stream(address_id=ledger.address_id, generation=2, live=False)
    save(ledger.engine, old)
    save(ledger.engine, make_movement(stream_id=old.id, asset_id=1))

    assert ledger.page().items == []


@pytest.mark.parametrize("change", ["cut", "longer", "flipped", "nonsense", "empty", "letters"])
def test_an_altered_cursor_is_refused(ledger: Ledger, change: str) -> None:
    for block in range(5):
        ledger.add(0, block=block)
    cursor = ledger.page(limit=2).next_cursor
    assert cursor is not None
    flipped = cursor[:-3] + ("A" if cursor[-3] != "A" else "B") + cursor[-2:]
    altered = {
        "cut": cursor[:-2],
        "longer": cursor + "AAAA",
        "flipped": flipped,
        "nonsense": "%%%",
        "empty": "",
        "letters": "é" * 12,
    }[change]

    with pytest.raises(InvalidCursorError):
        ledger.page(altered)


def test_a_cursor_of_other_filters_or_another_address_is_refused(ledger: Ledger) -> None:
    for block in range(5):
        ledger.add(0, block=block)
    cursor = ledger.page(limit=2).next_cursor
    with pytest.raises(InvalidCursorError):
        ledger.page(cursor, wanted=HistoryFilter(direction="in"))
    with pytest.raises(InvalidCursorError):
        ledger.page(cursor, by=OfWallet(OWNER, ledger.wallet_id + 1))
    with pytest.raises(InvalidCursorError):
        ledger.page(cursor, chain_id=CHAINS[0])


def test_a_cursor_into_a_replaced_stream_is_refused(ledger: Ledger) -> None:
    for block in range(5):
        ledger.add(0, block=block)
    cursor = ledger.page(limit=2).next_cursor
    with session_scope(ledger.engine) as session:
        stream = session.get(Stream, ledger.streams[0].id)
        assert stream is not None
        stream.live = False

    with pytest.raises(InvalidCursorError, match="read again"):
        ledger.page(cursor)


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
MOMENTS = st.none() | st.integers(-2, 15).map(_at)
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
PLANS = st.builds(
    Plan,
    rows=st.lists(ROWS, max_size=25, unique_by=lambda row: row[:3]),
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
            at=_at(block * plan.seconds_per_block),
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
