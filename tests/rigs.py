"""The real engine in front of a made-up world, in process, on a clock that a test moves."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from schema.types import AssetStandard, MovementKind
from shared.clock import Clock, Deadline
from shared.emulator.dice import Dice
from shared.emulator.emulator import Emulator
from shared.emulator.faults import FaultPlan
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.provider import ProviderOptions
from shared.emulator.server import variables
from shared.emulator.store import WorldStore
from shared.emulator.world import World
from shared.errors import SourceTimeoutError
from shared.gate import Pacer, RateGate
from shared.heads import Heads
from shared.queue.table import TableQueue
from shared.seams import Handle, Rng, Seams, Spawn, SqlUnit, UnitOfWork
from shared.settings import Settings, SourceOptions
from shared.sources import registry
from shared.sources.base import (
    Answer,
    AssetRef,
    Draft,
    FeedRef,
    Limits,
    RangeQuery,
    Row,
    Source,
    TokenInfo,
)
from shared.sync.run import RunReport, SyncEngine
from shared.sync.start import make_due
from shared.sync.watch import watch
from tests.conftest import Database

T = TypeVar("T")
COIN = AssetRef(b"c" * 20)
LIMITS = Limits(page_rows=10, window_rows=60, calls_per_s=1000.0, settle_depth=6)


class Shrunk:
    """A source with other limits, so that a short history meets every border."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.key = source.key
        self.head = source.head
        self.block_hash = source.block_hash
        self.fetch = source.fetch
        self._limits = limits

    def limits(self, chain_id: int) -> Limits:  # noqa: ARG002
        return self._limits


@dataclass
class Ended(Generic[T]):
    """Work that was done, or failed, when it was started."""

    value: T | None
    error: BaseException | None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


@dataclass
class Postponed(Generic[T]):
    """Work that is done only when somebody waits for it."""

    work: Callable[[], T]

    def result(self) -> T:
        return self.work()


class AtOnce:
    """Spawns that are over before the caller goes on: the same in every run."""

    def start(self, work: Callable[[], T]) -> Handle[T]:
        try:
            return Ended(work(), None)
        except Exception as exc:  # noqa: BLE001 - handed to whoever waits for it
            return Ended(None, exc)


class WhenAsked:
    """Spawns that begin when they are waited for."""

    def start(self, work: Callable[[], T]) -> Handle[T]:
        return Postponed(work)


def local_sources(**options: Any) -> dict[str, SourceOptions]:
    """Every provider at the emulator's address."""
    found = {}
    for line in variables("http://emulator"):
        name, _, url = line.partition("=")
        found[name.split("__")[1].lower()] = SourceOptions(base_url=url, **options)
    return found


def quiet_settings(**changes: Any) -> Settings:
    """Settings for tests: local providers, no reserve."""
    return Settings(**{"source": local_sources(), "reserve_s": 0.0, **changes})


@dataclass
class Rig:
    """Everything that one engine needs; override what a test is about."""

    database: Database
    world: World
    limits: Limits = LIMITS
    plan: FaultPlan = field(default_factory=FaultPlan)
    options: ProviderOptions = field(default_factory=ProviderOptions)
    settings: Settings = field(default_factory=quiet_settings)
    latency_s: float = 0.1
    spawn: Spawn = field(default_factory=AtOnce)
    rng: Rng = field(default_factory=lambda: Dice("jitter"))
    gate: RateGate | None = None
    unit: UnitOfWork | None = None

    def __post_init__(self) -> None:
        self.emulator = Emulator(WorldStore(self.world), options=self.options, plan=self.plan)
        clock = self.database.clock
        self.http = EmulatorHttp(self.emulator, clock, latency_s=self.latency_s)
        self.seams = Seams(
            clock=clock,
            unit=self.unit or SqlUnit(self.database.engine),
            queue=TableQueue(SqlUnit(self.database.engine)),
            gate=self.gate or Pacer(clock, {}),
            heads=Heads(clock),
            rng=self.rng,
            spawn=self.spawn,
        )

    def source(self, key: str) -> Source:
        """A provider as registered, with this rig's limits."""
        return Shrunk(registry.load(key, self.http, self.settings), self.limits)

    def engine(
        self, source_of: Callable[[str], Source] | None = None, holder: str = "test"
    ) -> SyncEngine:
        """A fresh engine, as another process would have it."""
        return SyncEngine(self.seams, source_of or self.source, self.settings, holder=holder)

    def watch(
        self,
        wallet: bytes | None = None,
        chain_ids: Collection[int] = (1,),
        source: str | None = "etherscan",
    ) -> list[int]:
        """Have the streams of a wallet, the first one unless another is given; their ids."""
        account = "0x" + (wallet or self.world.wallets[0]).hex()
        found = watch(
            self.database.engine,
            owner="local",
            account=account,
            chain_ids=chain_ids,
            label=None,
            source=source,
            settings=self.settings,
            clock=self.database.clock,
        )
        self.address_id = found.wallet.address_id
        return list(found.stream_ids)

    def ask(self, chain_ids: Collection[int] = (1,)) -> None:
        """Somebody is waiting: due now."""
        make_due(self.database.engine, address_id=self.address_id, chain_ids=chain_ids)

    def step(
        self, stream_ids: Sequence[int], box_s: float = 1e6, sync: SyncEngine | None = None
    ) -> RunReport:
        """One run over these streams."""
        return (sync or self.engine()).step(stream_ids, Deadline.after(self.database.clock, box_s))


def coin_row(block: int, tx: int = 0, amount: int = 5, **changes: Any) -> Row:
    """A row of an ERC-20 feed: the account received a coin."""
    tx_hash = block.to_bytes(16) + tx.to_bytes(16)
    draft = Draft(tx, tx_hash, MovementKind.ERC20, 1, COIN, b"p" * 20, amount, b"")
    return Row(block, 1_700_000_000 + block, tx_hash, None, (draft,))._replace(**changes)


@dataclass
class ListSource:
    """A provider with the rows and hashes that a test gives it; ``hook`` sees every call first."""

    clock: Clock
    rows: list[Row] = field(default_factory=list)
    newest: int = 100
    key: str = "etherscan"
    limit: Limits = LIMITS
    takes_s: float = 0.1
    fork_at: int | None = None
    tells_hashes: bool = True
    names_assets: bool = True
    hook: Callable[[str], None] = lambda _: None
    asked: list[str] = field(default_factory=list)

    def limits(self, chain_id: int) -> Limits:  # noqa: ARG002
        return self.limit

    def head(self, chain_id: int, deadline: Deadline) -> int:  # noqa: ARG002
        self._asked("head")
        return self.newest

    def block_hash(self, chain_id: int, block: int, deadline: Deadline) -> bytes | None:  # noqa: ARG002
        self._asked(f"hash {block}")
        return self.hash_of(block) if self.tells_hashes and block <= self.newest else None

    def hash_of(self, block: int) -> bytes:
        """The hash of a block on the present fork."""
        forked = self.fork_at is not None and block >= self.fork_at
        return block.to_bytes(32) if not forked else b"f" + block.to_bytes(31)

    def fetch(self, feed: FeedRef, query: RangeQuery, deadline: Deadline) -> Answer:
        self._asked(f"fetch {query.lo} page {query.page} of {query.rows}")
        if self.takes_s > deadline.remaining_s():
            self.clock.sleep(deadline.remaining_s(), deadline)
            raise SourceTimeoutError(self.key, "did not answer in time")
        self.clock.sleep(self.takes_s, deadline)
        inside = [row for row in self.rows if query.lo <= row.block <= query.hi]
        inside = inside[::-1] if query.descending else inside
        page = inside[(query.page - 1) * query.rows : query.page * query.rows]
        assets = {draft.asset for row in page for draft in row.drafts}
        tokens = {asset: TokenInfo(AssetStandard(feed.kind), "SYM", "Name", 6) for asset in assets}
        return Answer(page, tokens if self.names_assets else {})

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        self.hook(what)
