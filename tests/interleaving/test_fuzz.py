"""Four real engines at the same streams, on leases that end, on a chain that reorganises."""

import random
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, text

from schema.engine import autocommit
from schema.queries.page import PageOutcome
from schema.types import StreamState
from shared.clock import Deadline
from shared.emulator.world import World, WorldConfig
from shared.ops.verify import verify
from shared.seams import SqlUnit
from shared.sources.base import Answer, FeedRef, RangeQuery, Source
from shared.sync.run import SyncEngine
from tests import truth
from tests.conftest import Database
from tests.interleaving.rivals import at_once
from tests.rigs import LIMITS, Rig, quiet_settings

T = TypeVar("T")

RUNS = 4
PAGES = 240
DEPTH = LIMITS.settle_depth
LONG_S = 4_000.0
KINDS = 6
ROUNDS = 20
EXPIRE = text("UPDATE tallybook.stream SET lease_until = 'epoch' WHERE id = :id")


class Chaos:
    """What happens between any two calls: reorgs, leases that end, old pages that come again."""

    def __init__(self, database: Database, world: World, seed: int) -> None:
        self.database = database
        self.world = world
        self.lock = Lock()  # the world is one, and so are the dice
        self.pages = 0
        self.calm = False
        self._rng = random.Random(seed)
        self._sent: list[Callable[[Connection], Any]] = []

    def before_a_call(self) -> None:
        """Under the lock: somebody asks the provider."""
        if self.calm:
            return
        if self._rng.random() < 0.15:
            # One reorg in ten is deeper than what is taken for settled.
            deep = self._rng.random() < 0.1
            self.world.reorg(self._rng.randint(DEPTH + 1, 3 * DEPTH) if deep else DEPTH)
            self.world.grow(1)
        if self._rng.random() < 0.3:
            # One stream a statement: several in any order would wait in a circle with requests.
            with autocommit(self.database.engine) as connection:
                connection.execute(EXPIRE, {"id": self._rng.randint(1, KINDS)})

    def after_a_page(self, step: Callable[[Connection], Any]) -> Callable[[Connection], Any] | None:
        """Note a page that was sent; an old one, which the network delivers only now, or None."""
        with self.lock:
            self.pages += 1
            self._sent.append(step)
            return self._rng.choice(self._sent) if self._rng.random() < 0.3 else None


class LateUnit:
    """Steps on a real database, where pages are delivered again out of their order."""

    def __init__(self, database: Database, chaos: Chaos) -> None:
        self._unit = SqlUnit(database.engine)
        self._chaos = chaos

    def run(self, label: str, step: Callable[[Connection], T], *, by: Deadline | None = None) -> T:
        result = self._unit.run(label, step, by=by)
        if label == "page" and (again := self._chaos.after_a_page(step)) is not None:
            outcome: PageOutcome = self._unit.run("late page", again)
            assert not outcome.applied, "a page was applied twice"
        return result


class Shared:
    """A provider that one caller at a time may ask, and to whom things happen meanwhile."""

    def __init__(self, source: Source, chaos: Chaos) -> None:
        self.key = source.key
        self.limits = source.limits
        self._source = source
        self._chaos = chaos

    def head(self, chain_id: int, deadline: Deadline) -> int:
        with self._chaos.lock:
            return self._source.head(chain_id, deadline)

    def block_hash(self, chain_id: int, block: int, deadline: Deadline) -> bytes | None:
        with self._chaos.lock:
            return self._source.block_hash(chain_id, block, deadline)

    def fetch(self, feed: FeedRef, query: RangeQuery, deadline: Deadline) -> Answer:
        with self._chaos.lock:
            self._chaos.before_a_call()
            return self._source.fetch(feed, query, deadline)


@pytest.mark.parametrize("seed", range(2))
def test_many_runs_with_expiring_leases_reorgs_and_late_pages_end_as_the_oracle(
    database: Database, seed: int
) -> None:
    world = World(seed, WorldConfig(wallets=1, blocks=30, busy=0.9, withdrawals=0.3))
    chaos = Chaos(database, world, seed)
    rig = Rig(
        database, world, unit=LateUnit(database, chaos), settings=quiet_settings(refresh_s=1.0)
    )
    shared = Shared(rig.source("etherscan"), chaos)
    stream_ids = rig.watch()
    assert len(stream_ids) == KINDS

    def run(number: int) -> int:
        rng = random.Random(number)
        sync: SyncEngine = rig.engine(lambda _: shared, holder=f"run {number}")
        steps = 0
        while chaos.pages < PAGES:
            rig.ask()
            # Each begins elsewhere, so that they meet at different streams.
            rig.step(rng.sample(stream_ids, KINDS), sync=sync)
            steps += 1
        return steps

    assert all(at_once(*(lambda number=number: run(number) for number in range(RUNS))))

    chaos.calm = True
    world.grow(1)
    for _ in range(ROUNDS):
        database.advance(LONG_S)
        rig.ask()
        rig.step(stream_ids, sync=rig.engine(lambda _: shared))
        rows = truth.streams(database.engine, world.wallets[0], 1)
        if all((r.state, r.synced_block) == (StreamState.UP_TO_DATE, world.head()) for r in rows):
            break
    else:
        pytest.fail(f"not up to date although nothing happens any more: {rows}")
    truth.assert_ledger_is_true(database.engine, world, world.wallets[0], 1)
    assert verify(database.engine).agrees
