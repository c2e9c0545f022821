"""Rows that several streams write at once: balances of one address, and assets of one chain."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import text

from schema.engine import autocommit, reading
from schema.queries import page as pages
from schema.queries import stream
from schema.queries.asset_ids import AssetRow, Key, asset_ids
from schema.queries.page import MovementRow, PageWrite
from shared.ops.verify import verify
from tests.conftest import Database
from tests.factories import make_address, make_asset, make_stream, save
from tests.interleaving.rivals import at_once, late
from tests.unit.schema.test_page import row

KINDS = ("native", "erc20", "erc721", "erc1155")
PAGES = 60
COIN = AssetRow("erc20", "SYM", None, None)
Sums = Counter[tuple[int, int]]


def test_streams_of_one_address_that_write_at_once_neither_wait_in_a_circle_nor_lose_a_sum(
    database: Database,
) -> None:
    """Identical sets of assets would show nothing: each page has a set and an order of its own."""
    [address] = save(database.engine, make_address())
    assets = [asset.id for asset in save(database.engine, *(make_asset() for _ in range(30)))]
    streams = [make_stream(address_id=address.id, kind=kind) for kind in KINDS]
    stream_ids = [each.id for each in save(database.engine, *streams)]

    found = at_once(*map(_writer(database, assets), stream_ids))  # type: ignore[arg-type]

    sums: Sums = sum(found, Counter())
    with reading(database.engine) as connection:
        query = "SELECT stream_id, asset_id, amount FROM tallybook.balance"
        held = {(a, b): int(amount) for a, b, amount in connection.execute(text(query))}
    assert held == dict(sums)
    report = verify(database.engine)
    assert (report.agrees, report.movements) == (True, len(KINDS) * PAGES * 12)


def _writer(database: Database, assets: list[int]) -> Callable[[int], Callable[[], Sums]]:
    """For a stream: writes its pages, and tells what they came to."""

    def of(stream_id: int) -> Callable[[], Sums]:
        rng, sums = random.Random(stream_id), Sums()

        def rows(block: int) -> list[MovementRow]:
            some = rng.sample(assets, 12)
            return [row(block, pos, asset, rng.randint(1, 9)) for pos, asset in enumerate(some)]

        def write() -> Sums:
            with autocommit(database.engine) as connection:
                held = stream.lease(connection, stream_id, lease_s=60, holder="test")
            assert held is not None
            for block in range(PAGES):
                page = PageWrite(
                    stream_id, held.token, block, block + 1, 0, PAGES, 60, None, rows(block)
                )
                with autocommit(database.engine) as connection:
                    assert pages.write_page(connection, page).applied
                for movement in page.rows:
                    sums[stream_id, movement.asset_id] += movement.amount
            return sums

        return write

    return of


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "rolled back"])
def test_assets_that_somebody_is_just_making_get_one_id(database: Database, commit: bool) -> None:
    before, shared, after = wanted(range(3))
    made: dict[Key, int] = {}

    found = late(
        database.engine,
        lambda other: made.update(asset_ids(other, 1, {shared: COIN})),
        lambda connection: asset_ids(connection, 1, dict.fromkeys((after, shared, before), COIN)),
        commit=commit,
    )

    assert set(found) == {before, shared, after}
    assert (found[shared] == made[shared]) is commit
    assert len(set(found.values())) == len(stored(database)) == 3


def test_many_who_meet_the_same_assets_at_once_agree_and_waste_few_ids(database: Database) -> None:
    keys = list(wanted(range(240)))
    clients = 4

    def meet(seed: int) -> list[dict[Key, int]]:
        rng = random.Random(seed)
        found = []
        for at in range(0, len(keys), 20):
            # Parts that overlap those of the others, each in an order of its own.
            some = keys[at : at + 20] + rng.sample(keys, 20)
            rng.shuffle(some)
            with autocommit(database.engine) as connection:
                found.append(asset_ids(connection, 1, dict.fromkeys(some, COIN)))
            assert set(found[-1]) == set(some), "an id is missing"
        return found

    told = at_once(*(lambda seed=seed: meet(seed) for seed in range(clients)))

    known = stored(database)
    for one in told:
        for part in one:
            assert part.items() <= known.items()
    assert len(known) == len(keys)
    # Whoever misses an asset tries to make it once; who finds it burns nothing.
    assert max(known.values()) <= len(keys) * clients
    burnt = last_id(database)
    for seed in range(clients):
        meet(seed)
    assert last_id(database) == burnt


def wanted(numbers: range) -> list[Key]:
    """Coins and tokens of one collection by turns."""
    return [
        (b"n" * 20, number) if number % 2 else (number.to_bytes(20), None) for number in numbers
    ]


def stored(database: Database) -> dict[Key, int]:
    with reading(database.engine) as connection:
        found = connection.execute(text("SELECT contract, token_id, id FROM tallybook.asset"))
        return {
            (bytes(contract), None if token is None else int(token)): asset_id
            for contract, token, asset_id in found
        }


def last_id(database: Database) -> int:
    with reading(database.engine) as connection:
        sequence = "pg_get_serial_sequence('tallybook.asset', 'id')::regclass"
        query = f"SELECT pg_sequence_last_value({sequence})"
        return int(connection.execute(text(query)).scalar_one())
