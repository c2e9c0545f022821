"""``GET /api/prices`` of owners who hold little and much: read, not changed, and out of a cache.

The Upstash here is an emulator in this process, over a Redis beside it: no network lies between,
and its own work counts.
"""

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy import Engine, text

from benchmarks.harness import Measure, interleaved, postgres, ratio
from shared.cache.fill import Fills
from shared.cache.memory import MemoryCache
from shared.cache.remote import RemoteCache
from shared.clock import SystemClock
from shared.emulator.upstash.server import serving_upstash
from shared.prices.cached import WORTH_STREAMS, OwnedPrices
from shared.prices.lookup import Freshness, PricePage, price_page
from shared.upstash.client import UpstashClient
from tests.factories import make_address, make_stream, make_wallet, save
from tests.servers import redis_server

OWNERS = ((1, 50), (3, 200), (10, 200), (50, 200), (200, 500))  # wallets, tokens of each
CHAINS, KINDS = (1, 10), ("native", "internal", "erc20", "erc721", "erc1155")
LIMIT, ROUNDS, STALE_S = 500, 30, 3600.0
MS = 1_000
FILL = (
    """
    INSERT INTO tallybook.asset (chain_id, standard, contract, symbol, name, decimals)
    SELECT 1, 'erc20', decode(lpad(to_hex(g), 40, '0'), 'hex'), 'TKN', 'Token', 18
    FROM generate_series(1, :assets) g
    """,
    """
    INSERT INTO tallybook.balance (stream_id, asset_id, amount, movements)
    SELECT s.id, 1 + (s.address_id * 7919 + g * 31) % :assets, 10, 1
    FROM tallybook.stream s, generate_series(1, :tokens) g
    WHERE s.kind = 'erc20' AND s.chain_id = 1 ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO tallybook.price (asset_id, state, next_ask_at, misses, price_usd, source, priced_at,
      confidence, asked_at)
    SELECT id, 'priced', now(), 0, 1.5, 'defillama', now(), 0.99, now() FROM tallybook.asset
    """,
)


def fill(engine: Engine, wallets: int, tokens: int) -> None:
    """An owner of so many wallets, each with so many tokens; every second one is held twice."""
    rows = save(engine, *[make_address() for _ in range(wallets)])
    save(engine, *[make_wallet(address_id=row.id, chain_ids=list(CHAINS)) for row in rows])
    save(
        engine,
        *[
            make_stream(address_id=row.id, chain_id=chain, kind=kind)
            for row in rows
            for chain in CHAINS
            for kind in KINDS
        ],
    )
    with engine.begin() as connection:
        named = {"assets": tokens * max(1, wallets // 2), "tokens": tokens}
        for statement in FILL:
            wanted = {name: value for name, value in named.items() if f":{name}" in statement}
            connection.execute(text(statement), wanted)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


@contextmanager
def caches() -> Iterator[tuple[Fills, Fills]]:
    """One in this process, one elsewhere."""
    clock, rng = SystemClock(), random.Random(1)  # noqa: S311 - jitter
    with redis_server() as url, serving_upstash(url) as upstash:
        client = UpstashClient(upstash.url, upstash.token)
        far = RemoteCache(client, clock, rng, prefix=uuid.uuid4().hex)
        yield Fills(MemoryCache(clock, rng), clock), Fills(far, clock)
        client.close()


def run() -> Iterator[Measure]:
    """Three lines for each owner."""
    for wallets, tokens in OWNERS:
        with postgres() as engine, caches() as (near, far):
            fill(engine, wallets, tokens)
            fresh = Freshness(SystemClock().now(), STALE_S)
            ours = OwnedPrices(engine, "local", fresh).page(near, after_id=0, limit=LIMIT)

            def read(_: int, engine: Engine = engine, fresh: Freshness = fresh) -> bytes:
                page = price_page(engine, "local", after_id=0, limit=LIMIT, freshness=fresh)
                return msgspec.json.encode(page)

            def cached(fills: Fills, engine: Engine = engine, fresh: Freshness = fresh) -> bytes:
                prices = OwnedPrices(engine, "local", fresh)
                page: PricePage = prices.page(fills, after_id=0, limit=LIMIT, worth_streams=0)
                return msgspec.json.encode(page)

            assert read(0) == cached(near) == cached(far) == msgspec.json.encode(ours)
            whole, same, memory, upstash = interleaved(
                ROUNDS,
                read,
                lambda _, e=engine, f=fresh: OwnedPrices(e, "local", f).mark,
                lambda _, c=near: cached(c),
                lambda _, c=far: cached(c),
            )
            who = f"prices of {wallets} wallets, {len(read(0)) // 1024} kB"
            yield ratio(f"{who}: not changed", same * MS, whole * MS, "ms", least=2)
            yield ratio(f"{who}: from memory", memory * MS, whole * MS, "ms", least=1.5)
            asked = wallets * len(CHAINS) * len(KINDS) >= WORTH_STREAMS
            least = 1.0 if asked else 0.0  # those who hold less do not ask it
            yield ratio(f"{who}: from Upstash", upstash * MS, whole * MS, "ms", least=least)
