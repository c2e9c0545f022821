"""Pages of balances: every asset once, in one order, whatever comes and goes."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import delete

from schema.engine import session_scope
from schema.tables import METADATA, Balance
from shared.errors import InvalidCursorError
from shared.portfolio.balances import MORE_ROWS, BalanceLine, balance_page, balances
from tests.factories import make_asset, save
from tests.unit.portfolio.ledger import CHAINS, Ledger

TOKEN_IDS = (None, 0, 7, 10, 9, 2**63, 2**64, 10**20, 2**256 - 1, 10**78 - 1)
CONTRACTS = (b"\x00" * 20, b"\x01" * 20, b"\x7f" * 20, b"\x80" * 20, b"\xff" * 20)


def hold(ledger: Ledger, amounts: dict[int, int], stream: int = 0) -> None:
    """Have one of the streams hold so much of these assets."""
    stream_id = ledger.streams[stream].id
    assert stream_id is not None
    save(
        ledger.engine,
        *(
            Balance(stream_id=stream_id, asset_id=asset_id, amount=amount, movements=1)
            for asset_id, amount in amounts.items()
        ),
    )


def tokens(ledger: Ledger, numbers: range) -> list[int]:
    """Tokens whose contracts are these numbers, 5 of each held on the first chain; their ids."""
    made = save(
        ledger.engine,
        *(make_asset(contract=number.to_bytes(20), name=str(number)) for number in numbers),
    )
    ids = [asset.id for asset in made if asset.id is not None]
    hold(ledger, dict.fromkeys(ids, 5))
    return ids


def pages(
    ledger: Ledger, limit: int, *, zeros: bool = False, chains: tuple[int, ...] = CHAINS
) -> Iterator[list[BalanceLine]]:
    cursor = None
    while True:
        page = balance_page(
            ledger.engine,
            address_id=ledger.address_id,
            chain_ids=chains,
            with_zeros=zeros,
            limit=limit,
            cursor=cursor,
        )
        yield page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def whole(ledger: Ledger, *, zeros: bool = False) -> list[BalanceLine]:
    return balances(ledger.engine, address_id=ledger.address_id, chain_ids=CHAINS, with_zeros=zeros)


def first_cursor(ledger: Ledger, limit: int = 1) -> str:
    page = balance_page(
        ledger.engine,
        address_id=ledger.address_id,
        chain_ids=CHAINS,
        limit=limit,
        cursor=None,
    )
    assert page.next_cursor is not None
    return page.next_cursor


def place(line: BalanceLine) -> tuple[int, str, int]:
    return (
        line.chain_id,
        "" if line.contract is None else line.contract.lower(),
        -1 if line.token_id is None else int(line.token_id),
    )


@pytest.fixture
def wide(ledger: Ledger) -> Ledger:
    """All kinds of places on both chains, in no order, some of them gone, some in two streams."""
    wanted = [
        (chain, contract, token)
        for chain in CHAINS
        for contract in CONTRACTS
        for token in TOKEN_IDS
        if (contract, token) != (CONTRACTS[1], None)  # the ledger has it
    ]
    random.Random(4).shuffle(wanted)
    made = save(
        ledger.engine,
        *(
            make_asset(
                chain_id=chain,
                contract=contract,
                token_id=token,
                standard="erc20" if token is None else "erc721",
            )
            for chain, contract, token in wanted
        ),
    )
    for at, chain in enumerate(CHAINS):
        ids = [asset.id for asset in made if asset.chain_id == chain and asset.id is not None]
        numbered = dict(enumerate(ids))
        hold(ledger, {asset_id: number % 3 for number, asset_id in numbered.items()}, 2 * at)
        others = {
            asset_id: -(number % 3) if number % 2 else 4
            for number, asset_id in numbered.items()
            if number % 5 == 0
        }
        ether = ledger.assets[chain][0].id
        assert ether is not None
        hold(ledger, {**others, ether: 2**300}, 2 * at + 1)
    return ledger


@pytest.mark.parametrize("zeros", [False, True])
def test_pages_are_the_whole_cut_into_pieces(wide: Ledger, *, zeros: bool) -> None:
    every = whole(wide, zeros=zeros)

    assert len(every) > 50
    assert [place(line) for line in every] == sorted(place(line) for line in every)
    for limit in (1, 2, 7, len(every) - 1, len(every), len(every) + 1, 3_000):
        found = list(pages(wide, limit, zeros=zeros))
        assert [line for page in found for line in page] == every
        assert all(len(page) == limit for page in found[:-1])
        assert found[-1]


def test_who_holds_nothing_has_one_empty_page(ledger: Ledger) -> None:
    assert list(pages(ledger, 10)) == [[]]


def test_assets_whose_feeds_cancel_leave_no_hole_in_a_page(ledger: Ledger) -> None:
    ids = tokens(ledger, range(1, 4 * MORE_ROWS))
    kept = {ids[-1], ids[-40]}
    hold(ledger, {asset_id: -5 for asset_id in ids if asset_id not in kept}, stream=1)

    assert [len(page) for page in pages(ledger, 1)] == [1, 1]
    assert len(whole(ledger)) == 2


def test_assets_that_come_between_pages_disturb_no_one(ledger: Ledger) -> None:
    tokens(ledger, range(100, 200, 10))
    walk = pages(ledger, 3)
    told = [line.name for line in next(walk)]
    come = iter([range(1, 9), range(131, 139), range(191, 230), range(300, 301)])

    for page in walk:
        told += [line.name for line in page]
        tokens(ledger, next(come, range(0)))

    assert len(told) == len(set(told))
    assert {str(number) for number in range(100, 200, 10)} <= set(told)
    assert told == sorted(told, key=lambda name: int(name or 0))


def test_assets_that_go_between_pages_take_no_other_with_them(ledger: Ledger) -> None:
    ids = tokens(ledger, range(100, 110))
    walk = pages(ledger, 4)
    told = [line.name for line in next(walk)]
    table = METADATA.tables["tallybook.balance"]
    with session_scope(ledger.engine) as session:
        gone = table.c.asset_id.in_(ids[1:5])  # the place of the cursor is among them
        session.connection().execute(delete(table).where(gone))

    told += [line.name for page in walk for line in page]

    assert told == [str(number) for number in (*range(100, 104), *range(105, 110))]


def test_a_cursor_serves_its_own_list_only(ledger: Ledger) -> None:
    tokens(ledger, range(1, 9))
    for number in range(3):
        ledger.add(0, block=number)
    cursor, of_history = first_cursor(ledger), ledger.page(limit=1).next_cursor
    assert of_history is not None
    asked: dict[str, Any] = {
        "address_id": ledger.address_id,
        "chain_ids": CHAINS,
        "limit": 1,
        "cursor": cursor,
    }

    for changes in (
        {"address_id": ledger.address_id + 1},
        {"chain_ids": [1]},
        {"with_zeros": True},
        {"cursor": of_history},
        {"cursor": cursor[:-1]},
        {"cursor": "A" + cursor[1:]},
        {"cursor": cursor + "A"},
        {"cursor": "!"},
        {"cursor": ""},
    ):
        with pytest.raises(InvalidCursorError):
            balance_page(ledger.engine, **{**asked, **changes})
    with pytest.raises(InvalidCursorError):
        ledger.page(cursor)


def test_places_beyond_all_numbers_fit_into_a_cursor(ledger: Ledger) -> None:
    for token_id in (2**256 - 1, 10**78 - 1):
        [asset] = save(ledger.engine, make_asset(standard="erc721", token_id=token_id))
        assert asset.id is not None
        hold(ledger, {asset.id: 1})

    assert [len(page) for page in pages(ledger, 1)] == [1, 1]
