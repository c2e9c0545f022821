"""Claims of due assets and what is written for them: never twice, never late, never half."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from schema.engine import autocommit, reading, session_scope
from schema.queries import price, price_view
from schema.queries.price import ClaimedAsset, Priced, Settled
from schema.tables import Balance, Price
from schema.types import PriceState
from tests.conftest import Database
from tests.factories import make_address, make_asset, make_stream, make_wallet, save
from tests.fakes import START

PRICED = Priced(Decimal("1.50"), "defillama", START, Decimal("0.99"), None)


@pytest.fixture
def held(database: Database) -> list[int]:
    """Twelve tokens in a wallet on Ethereum, enrolled."""
    (address,) = save(database.engine, make_address())
    (stream,) = save(database.engine, make_stream(address_id=address.id))
    save(database.engine, make_wallet(address_id=address.id))
    assets = save(database.engine, *[make_asset() for _ in range(12)])
    ids = [asset.id or 0 for asset in assets]
    rows = [Balance(stream_id=stream.id or 0, asset_id=i, amount=2**255, movements=1) for i in ids]
    save(database.engine, *rows)
    with autocommit(database.engine) as connection:
        assert price.enrol_held(connection, [1]) == 12
        assert price.enrol_held(connection, [1]) == 0
    return ids


def _claim(database: Database, most: int = 100, hold_s: float = 60) -> list[ClaimedAsset]:
    with autocommit(database.engine) as connection:
        return price.claim_due(connection, most=most, hold_s=hold_s)


def _settle(database: Database, *settled: Settled) -> None:
    with autocommit(database.engine) as connection:
        price.settle(connection, settled)


def _row(database: Database, asset_id: int) -> Price:
    with session_scope(database.engine) as session:
        found = session.get(Price, asset_id)
        assert found is not None
        return found


def test_claims_at_the_same_time_share_the_assets(database: Database, held: list[int]) -> None:
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda _: _claim(database, most=3), range(4)))

    claimed = [asset.asset_id for claim in claims for asset in claim]
    assert len(claimed) == len(set(claimed))
    while more := _claim(database, most=3):
        claimed += [asset.asset_id for asset in more]
    assert sorted(claimed) == held


def test_a_claim_that_nobody_settles_ends_by_itself(database: Database, held: list[int]) -> None:
    assert len(_claim(database, hold_s=60)) == len(held)
    assert _claim(database) == []

    database.advance(61)

    assert len(_claim(database)) == len(held)


@pytest.mark.usefixtures("held")
def test_an_answer_after_the_claim_passed_on_is_dropped(database: Database) -> None:
    late = _claim(database)[0]
    database.advance(61)
    now = next(one for one in _claim(database) if one.asset_id == late.asset_id)

    _settle(database, Settled(late, 900, 0, PriceState.PRICED, PRICED))
    assert _row(database, late.asset_id).state == "new"
    _settle(database, Settled(late, 900, 7, PriceState.SPAM))
    assert _row(database, late.asset_id).misses == 0

    _settle(database, Settled(now, 900, 0, PriceState.PRICED, PRICED))
    found = _row(database, now.asset_id)
    assert (found.state, found.price_usd, found.priced_at) == ("priced", Decimal("1.5"), START)


def test_a_price_comes_back_as_it_was_stored(database: Database, held: list[int]) -> None:
    exact = Decimal("0.00000012345678901234567890123456789")
    at = START - timedelta(microseconds=1)
    claimed = _claim(database)[0]
    told = PRICED._replace(price_usd=exact, priced_at=at, flag="disagreement")
    _settle(database, Settled(claimed, 900, 0, PriceState.PRICED, told))

    with reading(database.engine) as connection:
        (first, *rest) = price_view.prices_of_owner(connection, "local", after_id=0, most=50)
        nobody = price_view.prices_of_owner(connection, "nobody", after_id=0, most=50)

    assert first.asset_id == claimed.asset_id
    assert first.price == (exact, "defillama", at, Decimal("0.99"), "disagreement")
    assert {one.price.price_usd for one in rest} == {None}
    assert [one.asset_id for one in (first, *rest)] == held
    assert nobody == []


@pytest.mark.usefixtures("held")
def test_an_answer_without_a_price_keeps_the_one_there_is(database: Database) -> None:
    first = _claim(database)[0]
    _settle(database, Settled(first, 0.0, 0, PriceState.PRICED, PRICED))
    again = _claim(database)[0]
    assert (again.asset_id, again.priced_at) == (first.asset_id, START)

    _settle(database, Settled(again, 900, 1, PriceState.UNKNOWN))

    found = _row(database, first.asset_id)
    assert (found.state, found.price_usd, found.misses) == ("priced", Decimal("1.5"), 1)


@pytest.mark.parametrize(
    "half",
    [
        {"state": "priced"},
        {"state": "unknown", "price_usd": Decimal(0)},
        {"state": "priced", "price_usd": Decimal(1), "priced_at": START, "source": "x"},
        {"state": "priced", "price_usd": Decimal(1), "confidence": Decimal(1), "source": "x"},
        {"state": "guessed"},
    ],
)
def test_half_a_price_cannot_be_stored(database: Database, half: dict[str, Any]) -> None:
    (asset,) = save(database.engine, make_asset())
    row = Price(**{"asset_id": asset.id, "next_ask_at": START, **half})

    with pytest.raises(IntegrityError):
        save(database.engine, row)


@pytest.mark.parametrize("inexact", [1.5, 1, Decimal("NaN"), Decimal("Infinity"), "text"])
def test_only_a_finite_decimal_is_a_price(database: Database, inexact: object) -> None:
    (asset,) = save(database.engine, make_asset())
    row = Price(
        asset_id=asset.id or 0,
        next_ask_at=START,
        state="priced",
        price_usd=inexact,  # type: ignore[arg-type]
        priced_at=START,
        source="x",
        confidence=Decimal(1),
    )

    with pytest.raises(Exception, match="finite Decimal"):
        save(database.engine, row)
