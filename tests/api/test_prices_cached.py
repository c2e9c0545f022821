"""``GET /api/prices`` asked again: not sent twice, never stale, and read once for many."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event

from schema.queries import price
from schema.queries.price import Priced, Settled
from schema.tables import METADATA, Balance, Price
from schema.types import PriceState
from shared.cache.fill import Fills
from shared.cache.memory import MemoryCache
from shared.emulator.dice import Dice
from shared.prices.cached import OwnedPrices
from shared.prices.lookup import PricePage
from tests.api.conftest import Api
from tests.factories import make_asset, save
from tests.fakes import START

STREAM = METADATA.tables["tallybook.stream"]
OTHER = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"


def _held(api: Api, *assets: Any) -> list[int]:
    """Have the first wallet hold some assets, as its page writes would; their ids."""
    ids = [asset.id for asset in save(api.database.engine, *assets)]
    with api.database.engine.begin() as connection:
        stream_id = connection.execute(STREAM.select()).mappings().first()["id"]  # type: ignore[index]
        mine = STREAM.c.id == stream_id
        moved = STREAM.update().where(mine).values(next_block=STREAM.c.next_block + 1)
        connection.execute(moved)
    save(
        api.database.engine,
        *[Balance(stream_id=stream_id, asset_id=i, amount=10**18, movements=1) for i in ids],
    )
    return ids


def _priced(asset_id: int) -> Price:
    return Price(
        asset_id=asset_id, state="priced", price_usd=Decimal("2.5"), source="defillama",
        priced_at=START, confidence=Decimal("0.99"), next_ask_at=START,
    )  # fmt: skip


def test_what_has_not_changed_is_not_sent_again(api: Api) -> None:
    api.add_wallet()
    (ether,) = _held(api, make_asset(contract=None))
    save(api.database.engine, _priced(ether))
    first = api.get("/prices")
    tag = first.headers["etag"]

    again = api.get("/prices", headers={"if-none-match": tag})
    among = api.get("/prices", headers={"if-none-match": f'"other", {tag.removeprefix("W/")}'})
    other = api.get("/prices", headers={"if-none-match": '"other"'})

    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "private, no-cache"
    assert (among.status_code, other.status_code) == (304, 200)
    assert other.json() == first.json()


def _claim(connection: Connection) -> None:
    assert price.claim_due(connection, most=10, hold_s=60)


def _settle(connection: Connection) -> None:
    claimed = price.claim_due(connection, most=10, hold_s=60)
    told = Priced(Decimal(3), "coingecko", START, Decimal("0.9"), None)
    price.settle(connection, [Settled(one, 900, 0, PriceState.PRICED, told) for one in claimed])


def _forgive(connection: Connection) -> None:
    assert price.forgive_spam(connection) == 1


@pytest.mark.parametrize("change", [_claim, _settle, _forgive])
def test_every_change_of_a_price_changes_the_tag(
    api: Api, change: Callable[[Connection], None]
) -> None:
    api.add_wallet()
    known, junk = _held(api, make_asset(contract=None), make_asset())
    save(
        api.database.engine,
        _priced(known),
        Price(asset_id=junk, state="spam", next_ask_at=START, misses=9),
    )
    tag = api.get("/prices").headers["etag"]

    with api.database.engine.begin() as connection:
        change(connection)

    assert api.get("/prices", headers={"if-none-match": tag}).status_code == 200


def test_what_is_held_changes_the_tag(api: Api) -> None:
    tags = [api.get("/prices").headers["etag"]]

    def look() -> None:
        tags.append(api.get("/prices").headers["etag"])

    wallet_id = api.add_wallet()
    look()
    _held(api, make_asset(contract=None))
    look()
    api.add_wallet(OTHER)
    look()
    api.add_wallet(OTHER, chains=(10,))
    look()
    api.client.delete(f"/api/wallets/{wallet_id}")
    look()

    assert len(set(tags)) == len(tags)


def test_a_copy_is_called_good_for_a_minute_of_age_at_most(api: Api) -> None:
    api.add_wallet()
    (ether,) = _held(api, make_asset(contract=None))
    save(api.database.engine, _priced(ether))
    tag = api.get("/prices").headers["etag"]

    api.database.clock.advance(59)
    assert api.get("/prices", headers={"if-none-match": tag}).status_code == 304
    api.database.clock.advance(1)

    assert api.get("/prices", headers={"if-none-match": tag}).status_code == 200


@dataclass
class Reads:
    """An owner's prices through a cache, with the statements counted."""

    api: Api
    fills: Fills
    statements: list[str] = field(default_factory=list)

    def page(self, after_id: int = 0) -> PricePage:
        runtime = self.api.runtime
        prices = OwnedPrices(runtime.engine, "local", runtime.freshness)
        return prices.page(self.fills, after_id=after_id, limit=2)

    def count(self, work: Callable[[], object]) -> int:
        del self.statements[:]
        work()
        return sum("price" in statement for statement in self.statements)


@pytest.fixture
def reads(api: Api) -> Reads:
    clock = api.database.clock
    made = Reads(api, Fills(MemoryCache(clock, Dice("x")), clock))

    def note(*call: Any) -> None:
        made.statements.append(call[2])

    event.listen(api.runtime.engine, "before_cursor_execute", note)
    return made


def test_a_page_that_was_read_is_not_read_again_and_tells_its_age_anew(reads: Reads) -> None:
    api = reads.api
    api.add_wallet()
    (ether, *_) = _held(api, *[make_asset(contract=None), *[make_asset() for _ in range(3)]])
    save(api.database.engine, _priced(ether))

    assert reads.count(reads.page) == 2
    api.database.clock.advance(3_601)
    assert reads.count(reads.page) == 2  # it was kept for a quarter of an hour
    first = reads.page()
    assert reads.count(reads.page) == 1
    api.database.clock.advance(5)
    second = reads.page()

    assert (first.items[0].age_s, first.items[0].stale) == (3_601, True)
    assert (second.items[0].age_s, second.items[1]) == (3_606, first.items[1])
    assert reads.page(after_id=int(first.next_cursor or 0)).items != first.items


def test_a_change_is_read_at_once(reads: Reads) -> None:
    api = reads.api
    wallet_id = api.add_wallet()
    _held(api, make_asset(contract=None))
    assert len(reads.page().items) == 1

    _held(api, make_asset())
    assert len(reads.page().items) == 2
    api.client.delete(f"/api/wallets/{wallet_id}")
    assert reads.page().items == []


class Far(MemoryCache):
    """As one in another place."""

    is_near = False

    def __init__(self, api: Api) -> None:
        super().__init__(api.database.clock, Dice("far"))


def test_a_cache_elsewhere_is_asked_only_by_those_who_hold_much(reads: Reads) -> None:
    reads.api.add_wallet()
    _held(reads.api, make_asset(contract=None))
    runtime = reads.api.runtime
    far = Far(reads.api)
    fills = Fills(far, reads.api.database.clock)
    prices = OwnedPrices(runtime.engine, "local", runtime.freshness)

    small = prices.page(fills, after_id=0, limit=2)
    assert len(far) == 0
    large = prices.page(fills, after_id=0, limit=2, worth_streams=1)

    assert (len(far), small) == (1, large)
