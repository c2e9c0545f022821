"""Four streams of one wallet on two chains, for tests of what is read from them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete

from schema.engine import session_scope
from schema.queries.history import OfWallet, Subject
from schema.tables import METADATA, Asset, Movement, Stream
from shared.portfolio.history import HistoryFilter, HistoryPage, history_page
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


def make_ledger(engine: Engine) -> Ledger:
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


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)
