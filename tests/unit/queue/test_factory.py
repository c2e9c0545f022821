"""Which queue is made, and how it fails."""

from pathlib import Path

import pytest

from schema import migrate
from schema.engine import make_engine
from shared.errors import StorageError
from shared.queue.factory import make_commons
from shared.queue.memory import MemoryQueue
from shared.queue.switched import SwitchedQueue
from shared.queue.table import TableQueue
from shared.settings import Settings
from tests.fakes import FakeClock

LEASE_S = 60.0


def test_factory_makes_the_table_queue_unless_told_otherwise(tmp_path: Path) -> None:
    clock = FakeClock()
    engine = make_engine(f"sqlite:///{tmp_path / 'queue.db'}", now=clock.now)
    migrate.upgrade(engine)
    settings = Settings()

    assert isinstance(make_commons(settings, engine, clock).queue, SwitchedQueue)
    assert isinstance(make_commons(settings, engine, clock, "table").queue, TableQueue)
    assert isinstance(make_commons(settings, engine, clock, "memory").queue, MemoryQueue)
    engine.dispose()


def test_database_that_went_away_is_a_storage_error(tmp_path: Path) -> None:
    clock = FakeClock()
    engine = make_engine(f"sqlite:///{tmp_path / 'empty.db'}", now=clock.now)
    queue = make_commons(Settings(), engine, clock).queue

    with pytest.raises(StorageError, match="switch"):
        queue.claim(LEASE_S)
    engine.dispose()
