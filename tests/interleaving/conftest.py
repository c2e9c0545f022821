"""Two connections to one Postgres, directly and through a transaction pooler."""

from collections.abc import Iterator

import pytest

from schema.engine import make_engine
from tests.conftest import Database
from tests.cut import Cutter, cutter
from tests.fakes import FakeClock


@pytest.fixture
def database(routed_url: str, clock: FakeClock) -> Iterator[Database]:
    """SQLite has one writer at a time: there is nothing to interleave."""
    engine = make_engine(routed_url, now=clock.now, pool_size=6)
    yield Database(engine, routed_url, "postgres", clock)
    engine.dispose()


@pytest.fixture
def wire(routed_url: str) -> Iterator[Cutter]:
    """What stands between the product and its database."""
    with cutter(routed_url) as found:
        yield found


@pytest.fixture
def cuttable(wire: Cutter, routed_url: str, clock: FakeClock) -> Iterator[Database]:
    """A Postgres database, direct or behind PgBouncer, whose connections can be cut."""
    url = wire.url_of(routed_url)
    engine = make_engine(url, now=clock.now)
    yield Database(engine, url, "postgres", clock)
    engine.dispose()
