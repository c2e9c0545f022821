"""Holdings, providers of prices that a test steers, and a refresher over both databases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from schema.engine import session_scope
from schema.tables import METADATA, Asset, Balance, Price
from shared.clock import Deadline
from shared.errors import SourceError
from shared.gate import Pacer
from shared.prices.refresh import PriceRefresher, RefreshReport
from shared.seams import SqlUnit
from shared.settings import Settings
from shared.sources.base import PricedAsset, Quote, QuoteSource
from tests.conftest import Database
from tests.factories import make_address, make_asset, make_stream, make_wallet, save
from tests.fakes import FakeClock

PRICE = METADATA.tables["tallybook.price"]


@dataclass
class ListQuotes:
    """A provider with the prices that a test gives it, all of one time; ``hook`` sees each call."""

    clock: FakeClock
    key: str = "defillama"
    prices: dict[PricedAsset, str] = field(default_factory=dict)
    confidence: str = "0.99"
    age_s: float = 60.0
    size: int = 100
    tokens: bool = True
    second_opinion: bool = False
    takes_s: float = 0.1
    error: SourceError | None = None
    hook: Callable[[], None] = lambda: None
    asked: list[list[PricedAsset]] = field(default_factory=list)

    def batches(self, assets: Sequence[PricedAsset]) -> list[list[PricedAsset]]:
        mine = [asset for asset in assets if self.tokens or asset.contract is None]
        return [mine[at : at + self.size] for at in range(0, len(mine), self.size)]

    def quotes(
        self, batch: Sequence[PricedAsset], deadline: Deadline
    ) -> Mapping[PricedAsset, Quote]:
        self.asked.append(list(batch))
        self.clock.sleep(self.takes_s, deadline)
        self.hook()
        if self.error is not None:
            raise self.error
        at = self.clock.now() - timedelta(seconds=self.age_s)
        return {
            asset: Quote(Decimal(self.prices[asset]), at, Decimal(self.confidence))
            for asset in batch
            if asset in self.prices
        }


@dataclass
class Shop:
    """A database with a wallet, three providers, and what refreshes their prices."""

    database: Database
    stream_id: int
    llama: ListQuotes
    gecko: ListQuotes
    binance: ListQuotes
    keys: dict[int, PricedAsset] = field(default_factory=dict)
    gate: Pacer | None = None

    def hold(self, *assets: Asset, amount: int = 5) -> list[int]:
        """Have the wallet hold these; their ids."""
        saved = save(self.database.engine, *assets)
        ids = [asset.id or 0 for asset in saved]
        self.keys |= {asset.id or 0: PricedAsset(asset.chain_id, asset.contract) for asset in saved}
        save(
            self.database.engine,
            *[
                Balance(stream_id=self.stream_id, asset_id=asset_id, amount=amount, movements=1)
                for asset_id in ids
            ],
        )
        return ids

    def tokens(self, count: int, **changes: Any) -> list[int]:
        return self.hold(*[make_asset(**changes) for _ in range(count)])

    def price(self, asset_id: int) -> Price:
        with session_scope(self.database.engine) as session:
            found = session.get(Price, asset_id)
            assert found is not None
            return found

    def states(self) -> dict[int, str]:
        with self.database.engine.connect() as connection:
            rows = connection.execute(PRICE.select()).mappings().all()
        return {row["asset_id"]: row["state"] for row in rows}

    def key(self, asset_id: int) -> PricedAsset:
        return self.keys[asset_id]

    def refresher(
        self, sources: Sequence[QuoteSource] | None = None, **settings: Any
    ) -> PriceRefresher:
        clock = self.database.clock
        return PriceRefresher(
            [self.llama, self.gecko, self.binance] if sources is None else sources,
            Settings(**settings),
            clock=clock,
            unit=SqlUnit(self.database.engine),
            gate=self.gate or Pacer(clock, {}),
        )

    def refresh(self, box_s: float = 30.0, **settings: Any) -> RefreshReport:
        deadline = Deadline.after(self.database.clock, box_s)
        return self.refresher(**settings).refresh(deadline)


@pytest.fixture
def shop(database: Database) -> Shop:
    (address,) = save(database.engine, make_address())
    (stream,) = save(database.engine, make_stream(address_id=address.id))
    save(database.engine, make_wallet(address_id=address.id))
    clock = database.clock
    return Shop(
        database,
        stream.id or 0,
        ListQuotes(clock),
        ListQuotes(clock, key="coingecko", confidence="0.95", size=30),
        ListQuotes(clock, key="binance", tokens=False, second_opinion=True, confidence="0.9"),
    )
