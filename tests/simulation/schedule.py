"""One whole history: a world that changes while several runs sync it, and what must come."""

import random
from contextlib import suppress
from functools import cache, partial

from schema.types import StreamKind
from shared.clock import Deadline
from shared.emulator import oracle
from shared.emulator.emulator import Emulator
from shared.emulator.faults import FaultPlan
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.errors import RedisError, StorageError
from shared.heads import Heads
from shared.queue.factory import Commons
from shared.queue.table import TableQueue
from shared.queue.upstash import UpstashQueue, UpstashShares
from shared.seams import Seams
from shared.settings import Settings, SourceOptions
from shared.shares import ShareGate
from shared.sources import registry
from shared.sources.base import Limits, Source
from shared.sync.run import SyncEngine
from shared.sync.source_change import begin_change
from shared.sync.sweep import DAY_S
from tests.simulation import ledger
from tests.simulation.plans import THEMES, Plan
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.seams import (
    LossyQueue,
    SimClock,
    SimGate,
    SimHttp,
    SimRedis,
    SimSpawn,
    SimUnit,
)
from tests.simulation.shelf import shelf
from tests.simulation.users import KEEP_S, OWNERS, Users

CHAIN = 1
DEPTH = 6
KINDS = (StreamKind.NATIVE, StreamKind.INTERNAL, StreamKind.ERC20)
NEW_ADDRESS = "INSERT INTO address (id, family, account, created_at) VALUES (?, 'evm', ?, 0)"
NEW_STREAM = """
INSERT INTO stream (id, address_id, chain_id, kind, provider, generation, live, created_at, state,
  due_at, lease_token, lease_until, settled_block, next_block, anchors, attempts)
VALUES (?, ?, ?, ?, 'etherscan', 1, 1, 0, 'pending', 0, 0, 0, -1, 0, '[]', 0)
"""
READ_AGAIN = """
UPDATE stream SET state = 'pending', due_at = 0, settled_block = -1, pass_head = NULL,
  lease_token = lease_token + 1, error_code = NULL
"""
SOURCES = {
    "etherscan": "http://emulator/etherscan/v2/api",
    "blockscout": "http://emulator/blockscout/v2/api",
}
NOT_DONE = """
SELECT id, state, synced_block, error_code FROM stream WHERE resting_since IS NULL
  AND (state <> 'up_to_date' OR synced_block IS NULL OR synced_block < ?)
"""
# What an up-to-date stream says of itself, and what its last whole pass did.
SAID_AND_DONE = """
SELECT s.id, s.synced_block, (SELECT to_block FROM run r WHERE r.stream_id = s.id
  AND r.outcome = 'done' ORDER BY r.id DESC LIMIT 1)
FROM stream s WHERE s.state = 'up_to_date'
"""
ROUNDS = 40
CALM_REFRESH_S = 100.0
LONGEST_TIDY_PAUSE_S = 8.0
KIND_ODDS = 0.6
UPSTASH_ODDS = 0.4
RATE = 50.0


@cache
def settings(*, calm: bool) -> Settings:
    """Short leases, and streams that are soon due again; in the calm end not within one box."""
    return Settings(
        lease_s=20.0,
        reserve_s=0.2,
        refresh_s=CALM_REFRESH_S if calm else 5.0,
        max_attempts=10_000,
        rest_days=KEEP_S / DAY_S,
        source={key: SourceOptions(base_url=url) for key, url in SOURCES.items()},
    )


class Shrunk:
    """A source with small pages, window and depth, so that a short history meets every border."""

    def __init__(self, source: Source, limits: Limits, *, anchors: bool) -> None:
        self.key = source.key
        self.head = source.head
        self.block_hash = source.block_hash if anchors else self._unknown_hash
        self.fetch = source.fetch
        self._limits = limits

    def limits(self, chain_id: int) -> Limits:  # noqa: ARG002 - as Source has it
        return self._limits

    def _unknown_hash(self, *_: object) -> None:
        """No hash is to be had of any block."""


class Schedule:
    """Builds everything from a seed, runs it, and compares the end with the oracle."""

    def __init__(self, seed: int, plan: Plan | None = None, *, crash_at: int = 0) -> None:
        self.seed = seed
        self.plan = plan or THEMES[seed % len(THEMES)]
        dealt = seed + self.plan.deal * 1_000_003
        self.rng = random.Random(f"plan/{dealt}")
        self.scheduler = Scheduler(
            dealt,
            crash_odds=self.plan.crash_odds,
            freeze_odds=self.plan.freeze_odds,
            crash_at=crash_at,
        )
        self.world = World(
            dealt,
            WorldConfig(
                wallets=2,
                coins=3,
                nfts=1,
                blocks=self.rng.randint(8, self.plan.blocks),
                busy=self.plan.busy,
            ),
        )
        self.account = "0x" + self.world.wallets[0].hex()
        self.emulator = Emulator(
            WorldStore(self.world),
            plan=FaultPlan(seed=dealt, odds=self.plan.faults),
        )
        shelf().clear(lambda: self.scheduler.now_s)
        self.engine = shelf().engine
        self.calm = False
        self.changing = False
        self.address_id = 1
        self.by_queue = self.rng.random() < 0.5
        self.on_upstash = self.rng.random() < UPSTASH_ODDS
        self.invariants = ledger.Invariants(shelf().driver)
        self.users = self._people() if self.plan.users else None
        self.stream_ids = self.users.stream_ids if self.users else self._watch()

    def run(self) -> None:
        """The wild part, then a quiet end in which everything must come right."""
        for number in range(self.plan.runners):
            self._start_runner(f"run{number}")
        self.scheduler.spawn("chain", self._live)
        if self.users is not None:
            self.scheduler.spawn("users", partial(self.users.live, self.plan.users))
            self.scheduler.spawn("cron", self._tidy_again_and_again)
        self.scheduler.run()
        self.settle()

    def sync_once(self, *, crash_at: int = 0) -> int:
        """One process syncs until nothing is due, or dies at a step; how many steps it took."""
        before = self.scheduler.steps
        self.scheduler.crash_at = before + crash_at if crash_at else 0
        self.scheduler.spawn("once", self._finish, Process("once"))
        self.scheduler.run()
        self.scheduler.crash_at = 0
        return self.scheduler.steps - before

    def settle(self) -> None:
        """The quiet end in which everything must come right."""
        for stream_id, said, done in shelf().driver.execute(SAID_AND_DONE).fetchall():
            assert said == done, f"stream {stream_id} says {said}, its last pass reached {done}"
        self._calm_down()
        self.compare()

    def compare(self) -> None:
        """The ledger against the oracle."""
        account = self.world.wallets[0]
        told = ledger.movements(shelf().driver, self.account, CHAIN)
        true = oracle.movements(self.world, account, CHAIN)
        wanted = {row[0] for row in shelf().driver.execute("SELECT kind FROM stream WHERE live")}
        true = type(true)({move: count for move, count in true.items() if move.stream in wanted})
        assert told == true, f"seed {self.seed}: missing {true - told}, too many {told - true}"
        sums: dict[tuple[bytes | None, int | None], int] = {}
        for move, count in true.items():
            key = (move.contract, move.token_id)
            sums[key] = sums.get(key, 0) + move.amount * count
        assert ledger.balances(shelf().driver, self.account, CHAIN) == {
            key: held for key, held in sums.items() if held
        }

    def outcomes(self) -> list[str]:
        """How the chunks so far ended."""
        return [row[0] for row in shelf().driver.execute("SELECT outcome FROM run ORDER BY id")]

    def _live_or_filling(self) -> list[int]:
        found = shelf().driver.execute("SELECT id FROM stream WHERE resting_since IS NULL")
        return [row[0] for row in found]

    def _change_source(self, process: Process) -> None:
        """Begin or go on with a change to the second provider, as the command line would."""
        self.scheduler.step("before begin change")
        begin_change(self.engine, address_id=self.address_id, chain_id=CHAIN, to="blockscout")
        self.scheduler.step("after begin change")
        more = self._engine_of(process).tidy()
        live = shelf().driver.execute("SELECT DISTINCT provider FROM stream WHERE live").fetchall()
        assert len(live) == 1, "a mixture of providers is shown"
        self.changing = more or live != [("blockscout",)]

    def _people(self) -> Users:
        """Whoever wants the address, beginning with one who does."""
        users = Users(
            self.seed + self.plan.deal,
            self.scheduler,
            engine=self.engine,
            account=self.account,
            clock=SimClock(self.scheduler),
            settings=settings(calm=False),
            committed=self.invariants.check,
        )
        users.watch(OWNERS[0])
        return users

    def _watch(self) -> list[int]:
        """The streams as ``watch`` makes them, without the ORM's time."""
        driver = shelf().driver
        driver.execute(NEW_ADDRESS, (self.address_id, self.account))
        kinds = [kind.value for kind in KINDS if self.rng.random() < KIND_ODDS] or [KINDS[-1].value]
        for number, kind in enumerate(kinds, 1):
            driver.execute(NEW_STREAM, (number, self.address_id, CHAIN, kind))
        return list(range(1, len(kinds) + 1))

    def _engine_of(self, process: Process) -> SyncEngine:
        clock = SimClock(self.scheduler, skew_s=self.rng.choice((0.0, -3_600.0, 86_400.0)))
        http = SimHttp(self.scheduler, EmulatorHttp(self.emulator, clock))
        limits = Limits(self.rng.choice((3, 5, 8)), 24, 100.0, DEPTH)

        @cache
        def source(key: str) -> Source:
            built = registry.load(key, http, settings(calm=self.calm))
            return Shrunk(built, limits, anchors=self.plan.anchors)

        lost_odds = 0.0 if self.calm else self.plan.lost_odds
        unit = SimUnit(self.scheduler, shelf().driver, self.invariants.check, process, lost_odds)
        commons = self._commons(clock, unit, process, lost_odds)
        seams = Seams(
            clock=clock,
            unit=unit,
            queue=LossyQueue(commons.queue, self.rng, lost_odds * 5),
            gate=commons.gate,
            heads=commons.heads,
            rng=self.rng,
            spawn=SimSpawn(self.scheduler, process),
        )
        return SyncEngine(seams, source, settings(calm=self.calm), holder=process.name)

    def _commons(
        self, clock: SimClock, unit: SimUnit, process: Process, lost_odds: float
    ) -> Commons:
        """Queue, rates and heads, in the ledger's tables or on Redis over HTTP."""
        heads = Heads(clock)

        def token() -> int:
            return self.rng.getrandbits(62)

        if not self.on_upstash:
            return Commons(TableQueue(unit, token=token), SimGate(), heads, _nobody_waits)
        redis = SimRedis(self.scheduler, shelf().redis, lost_odds)
        holder = f"{process.name}.{token()}"
        gate = ShareGate(clock, UpstashShares(redis), holder, dict.fromkeys(SOURCES, RATE), {})
        queue = UpstashQueue(redis, clock, gate, heads, token=token)
        return Commons(queue, gate, heads, _nobody_waits)

    def _start_runner(self, name: str) -> None:
        """Invocations one after the other, each a process of its own: one dies, the next begins."""

        def start_all() -> None:
            for number in range(self.plan.runs):
                process = Process(f"{name}.{number}")
                task = self.scheduler.spawn(process.name, self._invocation, process)
                self.scheduler.outlive(task)
                self.scheduler.sleep(self.rng.random() * 8)

        self.scheduler.spawn(name, start_all)

    def _tidy_again_and_again(self) -> None:
        """What a cron calls beside the runs, each time in a process of its own."""
        for number in range(self.plan.tidies):
            self.scheduler.sleep(self.rng.random() * LONGEST_TIDY_PAUSE_S)
            process = Process(f"tidy{number}")
            self.scheduler.outlive(self.scheduler.spawn(process.name, self._tidy, process))

    def _tidy(self) -> None:
        with suppress(StorageError, RedisError):
            self._engine_of(self.scheduler.current().process).tidy()

    def _invocation(self) -> None:
        """One box of a fresh process."""
        sync = self._engine_of(self.scheduler.current().process)
        box = Deadline.after(SimClock(self.scheduler), self.rng.uniform(1.0, self.plan.box_s))
        # An invocation may fail as a whole when the database is lost: the next one goes on.
        with suppress(StorageError, RedisError):
            if self.users is not None:
                self.stream_ids = self.users.stream_ids
            if self.rng.random() < 0.5:
                sync.step(self.stream_ids, box)
            else:
                sync.sweep()
                sync.run(box)

    def _live(self) -> None:
        """The chain goes on while it is read."""
        for _ in range(self.rng.randint(2, self.plan.life)):
            self.scheduler.sleep(self.rng.random() * 6)
            if self.rng.random() < 0.4:
                deep = self.rng.random() < self.plan.deep_odds
                shallowest, deepest = (DEPTH + 1, DEPTH * 3) if deep else (1, DEPTH - 1)
                depth = self.rng.randint(shallowest, deepest)
                self.world.reorg(depth)
                self.scheduler.note(f"the chain replaces its last {depth} blocks")
            self.world.grow(self.rng.randint(1, 4))
            self.scheduler.note(f"the chain grows to {self.world.head(CHAIN)}")

    def _calm_down(self) -> None:
        """No more faults: fresh runs until every stream is up to date with the present head."""
        self.emulator.plan.stop()
        # A reorganisation shows only by blocks above it: what a real chain always has in a moment.
        self.world.grow(1)
        self.calm = True
        self.scheduler.calm_down()
        if not self.plan.anchors:
            # What could not be noticed is put right by an operator, who has all read again.
            shelf().driver.execute(READ_AGAIN)
            self.invariants.expect_rewind()
        self.scheduler.spawn("last", self._finish, Process("last"))
        self.scheduler.run()
        left = self._not_done()
        assert not left, f"seed {self.seed}: streams without an end: {left}"

    def _finish(self) -> None:
        """One run after the other, in which only time helps: nothing is made due from outside."""
        process = self.scheduler.current().process
        for _ in range(ROUNDS):
            self.stream_ids = self._live_or_filling()
            sync, box = self._engine_of(process), Deadline.after(SimClock(self.scheduler), 60)
            if self.by_queue:
                sync.sweep()
                sync.run(box)
            else:
                sync.step(self.stream_ids, box)
            if self.changing:
                self._change_source(process)
            elif not self._not_done():
                if self.users is not None:
                    self.users.settle(shelf().driver, partial(self._engine_of, process))
                return
            self.scheduler.sleep(30)

    def _not_done(self) -> list[tuple[object, ...]]:
        """Streams that are not up to date with the present head."""
        return shelf().driver.execute(NOT_DONE, (self.world.head(CHAIN),)).fetchall()


def _nobody_waits(_seconds: float) -> None:
    """A run here ends when its queue is empty."""
