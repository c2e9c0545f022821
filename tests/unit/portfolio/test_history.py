"""History pages: every row once, in one order, whatever arrives."""

from datetime import timedelta

import pytest

from schema.engine import session_scope
from schema.queries.history import OfAddress, OfWallet
from schema.tables import Stream
from schema.types import MovementKind
from shared.errors import InvalidCursorError
from shared.portfolio.history import HistoryFilter, HistoryPage
from tests.factories import make_movement, make_stream, save
from tests.fakes import START
from tests.unit.portfolio.ledger import CHAINS, OWNER, Ledger, at


def test_an_address_without_movements_has_an_empty_history(ledger: Ledger) -> None:
    assert ledger.page() == HistoryPage([], None)


def test_a_wallet_and_its_address_tell_the_same(ledger: Ledger) -> None:
    for number in range(4):
        ledger.add(number, block=number, at=at(number))

    both = ledger.page(by=OfAddress(ledger.address_id, list(CHAINS)), limit=9)
    one = ledger.page(by=OfAddress(ledger.address_id, [10]), limit=9)

    assert len(both.items) == 4
    assert ledger.page(limit=9) == both
    assert ledger.page(limit=9, chain_id=10) == one
    assert {line.chain_id for line in one.items} == {10}


def test_nothing_is_told_of_a_wallet_of_somebody_else(ledger: Ledger) -> None:
    ledger.add(0)

    for wanted in (HistoryFilter(), HistoryFilter(since=at(-99))):
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
    ledger.add(2, block=900, pos=1, at=at(50), amount=5)  # another chain: after chain 1
    ledger.add(0, block=100, pos=1, at=at(50), amount=4)
    ledger.add(1, block=100, pos=2, at=at(50), amount=3)
    ledger.add(1, block=101, pos=1, at=at(50), amount=2)
    ledger.add(3, block=1, pos=1, at=at(60), amount=1)
    ledger.add(1, block=99, pos=1, at=at(40), amount=6)

    for limit in range(1, 8):
        assert ledger.amounts(limit) == ["1", "2", "3", "4", "5", "6"]


def test_a_full_last_page_has_no_cursor(ledger: Ledger) -> None:
    for number in range(4):
        ledger.add(number, block=10 + number)

    assert ledger.page(limit=4).next_cursor is None
    assert [len(page.items) for page in ledger.pages(2)] == [2, 2]


def test_rows_arriving_on_top_disturb_no_one_who_is_paging(ledger: Ledger) -> None:
    for block in (10, 20, 30):
        ledger.add(0, block=block, at=at(block), amount=block)
    ledger.add(2, block=5, at=at(5), amount=5)
    first = ledger.page(limit=2)

    # On top of a stream that showed rows, of one that showed none yet, and of one that was empty.
    for number in (0, 2, 3):
        ledger.add(number, block=40, at=at(40), amount=40)
        ledger.add(number, block=6, at=at(6), amount=6)
    ledger.add(2, block=5, pos=2**62, at=at(5), amount=55)
    second = ledger.page(first.next_cursor, limit=10)

    assert [line.amount_raw for line in first.items] == ["30", "20"]
    # What came below the place one stood at belongs there; what came on top is for the next time.
    assert [line.amount_raw for line in second.items] == ["10", "6", "5"]
    assert second.next_cursor is None


def test_blocks_and_places_beyond_32_bits_page_well(ledger: Ledger) -> None:
    for block, pos in ((2**31 + 5, 2**40), (2**40, 2**62), (2**62, 2**63 - 1), (2**31, 0)):
        ledger.add(0, block=block, pos=pos, at=at(block % 1000), amount=block)
        ledger.add(2, block=block, pos=pos, at=at(block % 1000), amount=block + 1)

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
        at=at(0),
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
