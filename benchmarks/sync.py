"""A sync against a bare fetch loop over the same pages, from a server that answers in 50 ms."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import httpx
from sqlalchemy import text

from benchmarks import provider
from benchmarks.harness import Measure, interleaved, postgres, ratio
from functions.process import tune
from schema.types import StreamKind
from shared.clock import Deadline
from shared.runtime import Runtime
from shared.settings import Settings, SourceOptions
from shared.sync.watch import watch

ROWS, PAGE_ROWS, WINDOW_PAGES, LATENCY_S = 200_000, 1_000, 10, 0.05
ROUNDS = 2
TABLES = ("address", "wallet", "stream", "asset", "movement", "balance", "run", "sync_job")


@contextmanager
def runtime(
    database_url: str, provider_url: str, fetch_ahead: int | None = None
) -> Iterator[Runtime]:
    """The product as an entry point composes it."""
    options = SourceOptions(base_url=provider_url, fetch_ahead=fetch_ahead)
    settings = Settings(database_url=database_url, source={"etherscan": options})
    made = Runtime.from_settings(settings)
    try:
        yield made
    finally:
        made.close()


def erc20_stream(product: Runtime) -> int:
    """Watch the provider's wallet; the id of its one stream that has rows."""
    found = watch(
        product.engine,
        owner="bench",
        account=provider.ACCOUNT,
        chain_ids=[1],
        label=None,
        source="etherscan",
        settings=product.settings,
        clock=product.clock,
    )
    query = text("SELECT id FROM tallybook.stream WHERE id = ANY(:ids) AND kind = :kind")
    asked = {"ids": list(found.stream_ids), "kind": StreamKind.ERC20.value}
    with product.engine.connect() as connection:
        return int(connection.execute(query, asked).scalar_one())


def empty(product: Runtime) -> None:
    """Forget every wallet and what it holds."""
    tables = ", ".join(f"tallybook.{table}" for table in TABLES)
    with product.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))


def sync(database_url: str, provider_url: str, fetch_ahead: int, _: int = 0) -> None:
    """All movements from an empty database on."""
    with runtime(database_url, provider_url, fetch_ahead) as product:
        empty(product)
        stream_id = erc20_stream(product)
        report = product.sync.step([stream_id], Deadline.after(product.clock, 600))
    assert sum(chunk.inserted for chunk in report.chunks) == ROWS, report


def fetch_all(provider_url: str, at_once: int, _: int = 0) -> None:
    """The floor: the bodies of as many pages as hold all rows, and nothing made of them."""
    window_blocks = WINDOW_PAGES * PAGE_ROWS // provider.ROWS_A_BLOCK
    with httpx.Client(timeout=None) as client:  # noqa: S113 - our own server

        def fetch(number: int) -> int:
            window, page = divmod(number, WINDOW_PAGES)
            asked: dict[str, str | int] = {
                "module": "account",
                "action": "tokentx",
                "address": provider.ACCOUNT,
                "startblock": provider.FIRST_BLOCK + window * window_blocks,
                "endblock": provider.FIRST_BLOCK + ROWS,
                "page": page + 1,
                "offset": PAGE_ROWS,
                "sort": "asc",
            }
            return len(client.get(provider_url, params=asked).content)

        with ThreadPoolExecutor(at_once) as pool:
            sizes = list(pool.map(fetch, range(ROWS // PAGE_ROWS)))
    assert min(sizes) > PAGE_ROWS


def run() -> list[Measure]:
    """The measures of this file."""
    tune()  # as every entry point does
    with postgres() as engine, provider.serving(ROWS, LATENCY_S) as url:
        database = engine.url.render_as_string(hide_password=False)
        one, one_bare, two, two_bare = interleaved(
            ROUNDS,
            partial(sync, database, url, 1),
            partial(fetch_all, url, 1),
            partial(sync, database, url, 2),
            partial(fetch_all, url, 2),
        )
    what = f"sync of {ROWS:,} rows at 50 ms a page"
    return [
        ratio(f"{what}, one fetch ahead, against the same", one, one_bare, "s", most=1.15),
        ratio(f"{what}, two in flight, against the same", two, two_bare, "s", most=1.25),
        ratio(f"{what}, two in flight, against one", two, one_bare, "s", most=1.15),
    ]
