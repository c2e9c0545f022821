"""One id for each asset, whoever asks, however large its token's number is."""

import threading

import pytest
from sqlalchemy import text

from schema.engine import autocommit
from schema.queries.asset_ids import AssetRow, Key, asset_ids
from tests.conftest import Database

NATIVE: Key = (None, None)
COIN: Key = (b"\x01" * 20, None)
HUGE: Key = (b"\x02" * 20, 2**256 - 1)
ALMOST: Key = (b"\x02" * 20, 2**256 - 2)
ZERO: Key = (b"\x02" * 20, 0)
COLLECTION: Key = (b"\x02" * 20, None)
ALL = [NATIVE, COIN, HUGE, ALMOST, ZERO, COLLECTION]


def row(key: Key, symbol: str | None = "SYM") -> AssetRow:
    contract, token_id = key
    standard = "native" if contract is None else "erc20" if token_id is None else "erc721"
    return AssetRow(standard, symbol, None, None)


def ids(database: Database, *keys: Key, chain_id: int = 1, symbol: str = "SYM") -> dict[Key, int]:
    with autocommit(database.engine) as connection:
        return asset_ids(connection, chain_id, {key: row(key, symbol) for key in keys})


def stored(database: Database) -> list[tuple[object, ...]]:
    table = "asset" if database.dialect == "sqlite" else "tallybook.asset"
    with autocommit(database.engine) as connection:
        found = connection.execute(text(f"SELECT id, symbol FROM {table} ORDER BY id"))
        return [tuple(each) for each in found]


def test_every_asset_has_an_id_of_its_own_and_keeps_it(database: Database) -> None:
    first = ids(database, *ALL)

    assert set(first) == set(ALL)
    assert len(set(first.values())) == len(ALL)
    assert ids(database, *reversed(ALL)) == first
    assert ids(database, HUGE) == {HUGE: first[HUGE]}
    assert len(stored(database)) == len(ALL)


@pytest.mark.parametrize("key", ALL)
def test_each_kind_of_asset_is_found_alone(database: Database, key: Key) -> None:
    first = ids(database, key)

    assert list(first) == [key]
    assert ids(database, key) == first


def test_the_same_contract_on_two_chains_is_two_assets(database: Database) -> None:
    assert ids(database, COIN, NATIVE).values() != ids(database, COIN, NATIVE, chain_id=10).values()
    assert len(stored(database)) == 4


def test_what_was_said_of_an_asset_first_is_kept(database: Database) -> None:
    first = ids(database, COIN, symbol="FIRST")
    ids(database, COIN, HUGE, symbol="LATER")

    assert stored(database)[0] == (first[COIN], "FIRST")
    assert [symbol for _, symbol in stored(database)] == ["FIRST", "LATER"]


def test_only_the_missing_ones_burn_an_id(database: Database) -> None:
    ids(database, *ALL[:3])
    for _ in range(5):
        ids(database, *ALL[:3])
    ids(database, *ALL)

    assert max(int(str(number)) for number, _ in stored(database)) == len(ALL)


def test_nothing_wanted_is_nothing_found(database: Database) -> None:
    assert ids(database) == {}


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_two_who_meet_the_same_assets_at_once_agree(database: Database) -> None:
    """On Postgres: tests/interleaving/test_shared_rows.py."""
    keys: list[Key] = [(number.to_bytes(20), None) for number in range(60)]
    keys += [(b"\x03" * 20, number) for number in range(60)]
    found: list[dict[Key, int]] = []
    failures: list[Exception] = []
    barrier = threading.Barrier(2)

    def want(mine: list[Key]) -> None:
        try:
            for at in range(0, len(mine), 20):
                barrier.wait()
                found.append(ids(database, *mine[at : at + 20]))
        except Exception as exc:  # noqa: BLE001 - told by the test
            failures.append(exc)
            barrier.abort()

    threads = [threading.Thread(target=want, args=(order,)) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    known = ids(database, *keys)
    assert all(known[key] == number for part in found for key, number in part.items())
    assert len(stored(database)) == len(keys)
