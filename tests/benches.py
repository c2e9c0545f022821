"""One stream, a provider made of a list, and short ways to see what a chunk made of them."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from schema.engine import autocommit, reading
from schema.queries import stream
from schema.queries.stream import Standing
from schema.sql import Statement
from shared.clock import Deadline
from shared.emulator.world import World, WorldConfig
from shared.errors import StorageError
from shared.ops.verify import verify
from shared.seams import SqlUnit
from shared.sources.base import Source
from shared.sync.chunk import ChunkReport
from tests import truth
from tests.conftest import Database
from tests.rigs import ListSource, Rig, coin_row, quiet_settings

T = TypeVar("T")
ROWS = [coin_row(block, tx) for block in range(5, 96, 10) for tx in range(2)]
_HELD = Statement("SELECT block, amount FROM {t}movement WHERE stream_id = :id ORDER BY block, pos")
_STREAM = Statement("""
SELECT state, provider, settled_block, synced_block, pass_head, page_rows, attempts, error_code,
  anchors
FROM {t}stream WHERE id = :id
""")
_ASSETS = Statement("SELECT standard, symbol, name, decimals FROM {t}asset ORDER BY id")


class Bench:
    """One ERC-20 stream, a provider made of a list, and short ways to look at what became of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.unit = HookedUnit(SqlUnit(database.engine))
        self.rig = Rig(
            database,
            World(1, WorldConfig(wallets=1, blocks=1)),
            unit=self.unit,
            settings=quiet_settings(refresh_s=300.0),
        )
        self.source = ListSource(database.clock, rows=list(ROWS))
        wanted = self.rig.watch()
        kinds = {row.kind: row.id for row in truth.streams(database.engine, self.wallet, 1)}
        assert sorted(kinds.values()) == wanted
        self.id = kinds["erc20"]

    @property
    def wallet(self) -> bytes:
        return self.rig.world.wallets[0]

    def step(
        self, box_s: float = 1000.0, source_of: Callable[[str], Source] | None = None
    ) -> list[ChunkReport]:
        sync = self.rig.engine(source_of or (lambda _: self.source))
        return list(self.rig.step([self.id], box_s, sync).chunks)

    def held(self) -> list[tuple[int, int]]:
        with reading(self.database.engine) as connection:
            rows: Any = _HELD.run(connection, id=self.id).all()
        return [(row[0], int(row[1])) for row in rows]

    def stream(self) -> dict[str, Any]:
        with reading(self.database.engine) as connection:
            row: Any = _STREAM.run(connection, id=self.id).one()
        return dict(row._mapping)

    def standing(self) -> Standing:
        with reading(self.database.engine) as connection:
            found = stream.standing(connection, self.id)
        assert found is not None
        return found

    def steal(self) -> None:
        """Another run takes the stream, long after the lease has ended."""
        self.database.advance(10_000)
        with autocommit(self.database.engine) as connection:
            assert stream.lease(connection, self.id, lease_s=60, holder="thief") is not None

    def set(self, assignment: str) -> None:
        prefix = "" if self.database.dialect == "sqlite" else "tallybook."
        with autocommit(self.database.engine) as connection:
            connection.execute(text(f"UPDATE {prefix}stream SET {assignment} WHERE id = {self.id}"))

    def assets(self) -> list[tuple[Any, ...]]:
        with reading(self.database.engine) as connection:
            return [tuple(asset) for asset in _ASSETS.run(connection)]

    def holds_what_the_provider_says(self) -> bool:
        told = sorted((row.block, draft.amount) for row in self.source.rows for draft in row.drafts)
        return sorted(self.held()) == told and verify(self.database.engine).agrees


class HookedUnit:
    """Steps against the ledger, with something happening before or after one of them, once."""

    def __init__(self, unit: SqlUnit) -> None:
        self._unit = unit
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        self.labels: list[str] = []

    def run(self, label: str, step: Callable[[Connection], T], *, by: Deadline | None = None) -> T:
        self.labels.append(label)
        self.before.pop(label, _nothing)()
        result = self._unit.run(label, step, by=by)
        self.after.pop(label, _nothing)()
        return result


def _nothing() -> None:
    """The usual thing to happen."""


def gone() -> None:
    message = "the connection is gone"
    raise StorageError(message)
