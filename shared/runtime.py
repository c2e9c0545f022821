"""The composition root: builds each part once, when it is first needed."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from schema import migrate
from schema.engine import make_engine
from shared import database_url
from shared.clock import Clock, SystemClock
from shared.errors import ConfigError, RedisError, StorageUnreachableError, TallybookError
from shared.http import Http
from shared.platform import platform_of
from shared.prices.lookup import Freshness
from shared.prices.refresh import PriceRefresher
from shared.queue.base import QueueStats
from shared.queue.factory import Commons, make_commons
from shared.seams import Seams, SqlUnit, Threads
from shared.settings import Settings
from shared.sources import registry
from shared.sources.base import Source
from shared.storage import meaning_of
from shared.sync.run import SyncEngine
from shared.triggers.factory import make_trigger

if TYPE_CHECKING:
    from shared.cache.fill import Fills

FETCH_THREADS = 16  # of all runs of this process together; opened only as they are needed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether this process can serve; holds no secret. ``problem`` is None when all is well.

    With a problem it still ``serves`` what the ledger knows when only the queue is out of reach.
    ``reachable`` is the database's. ``standby`` says why it serves but must not work: paused, or
    set up for another queue.
    """

    dialect: str
    reachable: bool
    revision: str | None
    head: str
    queue: QueueStats | None
    problem: str | None
    standby: str | None = None
    fix: str | None = None
    serves: bool = True


class Runtime:
    """Everything an entry point needs; parts are made on first use and closed together."""

    def __init__(self, settings: Settings, clock: Clock, http: Http | None = None) -> None:
        self.settings = settings
        self.clock = clock
        self._http = http
        self._parts: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._count: tuple[float, QueueStats | RedisError] | None = None
        self._count_lock = threading.Lock()

    @classmethod
    def from_settings(
        cls, settings: Settings, *, clock: Clock | None = None, http: Http | None = None
    ) -> "Runtime":
        """A runtime of the machine's own clock and network, unless others are given."""
        registry.check_options(settings)
        return cls(settings, clock or SystemClock(), http)

    @property
    def http(self) -> Http:
        """The network. Its client is loaded with the first use: a tenth of a second."""
        return self._http or self._once("http", self._make_http)

    @property
    def engine(self) -> Engine:
        """The database."""
        return self._once("engine", self._make_engine)

    @property
    def seams(self) -> Seams:
        """The world as the engine of the sync sees it."""
        return self._once("seams", self._make_seams)

    @property
    def commons(self) -> Commons:
        """What this process shares with others: queue, rates, heads."""
        return self._once("commons", lambda: make_commons(self.settings, self.engine, self.clock))

    @property
    def sync(self) -> SyncEngine:
        """The engine of the sync."""
        return self._once("sync", lambda: SyncEngine(self.seams, self.source, self.settings))

    @property
    def prices(self) -> PriceRefresher:
        """What refreshes prices."""
        return self._once("prices", self._make_prices)

    @property
    def cache(self) -> "Fills":
        """What may be kept for a while; loaded and connected by its first use."""
        return self._once("cache", self._make_cache)

    @property
    def freshness(self) -> Freshness:
        """By what the age of a price is told, now."""
        return Freshness(self.clock.now(), self.settings.price_stale_s)

    def source(self, key: str) -> Source:
        """The provider with this key, built once."""
        return self._once(f"source {key}", lambda: registry.load(key, self.http, self.settings))

    def ensure_schema(self) -> None:
        """Have the database at this version's revision, or say what to do.

        The embedded default migrates by itself; a server's database only when its operator says so.

        Raises:
            ConfigError: A Postgres database is behind, or any is ahead of this version.
            StorageError: The database does not answer.
        """
        self._once("schema", self._checked_schema)

    @property
    def is_ready(self) -> bool:
        """Whether ``ensure_schema`` has found all well."""
        return "schema" in self._parts

    def health(self, *, counted_within_s: float = 0.0) -> Health:
        """Look whether the database answers and fits, and how full the queue is.

        A count that is not older than ``counted_within_s`` does: Upstash bills each.
        """
        head = migrate.head()
        found = Health("unknown", False, None, head, None, None)
        try:
            found = replace(found, dialect=self.engine.dialect.name)
            revision = self._revision()
            found = replace(found, reachable=True, revision=revision)
            if revision != head:
                return _down(found, self._misfit(revision))
            board = self.commons.board
            found = replace(found, standby=None if board is None else board.objection())
            counted = self._counted(counted_within_s)
        except StorageUnreachableError as exc:
            return _down(replace(found, reachable=False), exc)
        except TallybookError as exc:
            return _down(found, exc)
        if isinstance(counted, RedisError):
            sentence = f"the queue is out of reach: {counted.detail}"
            return replace(found, problem=sentence, fix=counted.how_to_fix or None)
        return replace(found, queue=counted)

    def _counted(self, within_s: float) -> QueueStats | RedisError:
        """How full the queue is, or why nobody knows; asked by one caller at a time."""
        queue = self.seams.queue
        with self._count_lock:
            now_s = self.clock.monotonic()
            if self._count is not None and now_s - self._count[0] < within_s:
                return self._count[1]
            try:
                found: QueueStats | RedisError = queue.stats()
            except RedisError as exc:
                found = exc
            self._count = now_s, found
            return found

    def close(self) -> None:
        """Give back connections and threads; the parts are made anew if used again."""
        with self._lock:
            parts, self._parts = self._parts, {}
            self._count = None
        if "seams" in parts:
            parts["seams"].gate.leave()
        if "threads" in parts:
            parts["threads"].close()
        if "commons" in parts:
            parts["commons"].close()
        if "engine" in parts:
            parts["engine"].dispose()
        if "cache" in parts:
            parts["cache"].cache.close()
        if "http" in parts:
            parts["http"].close()

    def _once(self, name: str, build: Callable[[], T]) -> T:
        """The part of this name, made by whoever asks first."""
        if name not in self._parts:
            with self._lock:
                if name not in self._parts:
                    self._parts[name] = build()
        return cast("T", self._parts[name])

    def _make_engine(self) -> Engine:
        named = self.settings.database_url
        url = None if named is None else named.get_secret_value()
        database_url.check(url, platform_of(self.settings))
        try:
            return make_engine(self.settings.resolved_database_url(), now=self.clock.now)
        except (ValueError, SQLAlchemyError) as exc:
            # Without the URL, which holds a password.
            in_our_words = str(exc).startswith("DATABASE_URL")
            detail = str(exc) if in_our_words else "DATABASE_URL cannot be parsed"
            fix = "Set DATABASE_URL to postgresql://.. or sqlite:///.., or unset it."
            raise ConfigError(detail, fix=fix) from None

    def _make_http(self) -> Http:
        from shared.http_client import HttpxClient  # noqa: PLC0415 - not for every answer

        return HttpxClient(self.clock)

    def _make_cache(self) -> "Fills":
        from shared.cache.factory import make_cache  # noqa: PLC0415 - few answers need it
        from shared.cache.fill import Fills  # noqa: PLC0415 - as above

        rng = random.Random()  # noqa: S311 - jitter
        return Fills(make_cache(self.settings, self.clock, rng), self.clock)

    def _make_seams(self) -> Seams:
        commons = self.commons
        return Seams(
            clock=self.clock,
            unit=SqlUnit(self.engine),
            queue=commons.queue,
            gate=commons.gate,
            heads=commons.heads,
            rng=random.Random(),  # noqa: S311 - jitter
            spawn=self._once("threads", lambda: Threads(FETCH_THREADS)),
            trigger=make_trigger(self.settings, self.engine, self.clock),
        )

    def _make_prices(self) -> PriceRefresher:
        sources = registry.load_quotes(self.http, self.settings)
        seams = self.seams
        return PriceRefresher(
            sources, self.settings, clock=seams.clock, unit=seams.unit, gate=seams.gate
        )

    def _checked_schema(self) -> bool:
        revision = self._revision()
        if revision != migrate.head():
            if self.engine.dialect.name != "sqlite" or (revision or "") > migrate.head():
                raise self._misfit(revision)
            migrate.upgrade(self.engine)
        return True

    def _revision(self) -> str | None:
        try:
            return migrate.current(self.engine)
        except DBAPIError as exc:
            # Without the driver's words: health is public, and they name host and user.
            meaning = meaning_of(exc)
            detail = f"{meaning.sentence} ({type(exc.orig).__name__})"
            raise meaning(detail) from exc

    def _misfit(self, revision: str | None) -> ConfigError:
        """What is wrong with a database at another revision, and who can mend it."""
        head = migrate.head()
        if (revision or "") > head:
            detail = f"the database is at revision {revision}, newer than this version's {head}"
            return ConfigError(detail, fix="Run a newer version of tallybook.")
        at = "has no tables yet" if revision is None else f"is at revision {revision} of {head}"
        return ConfigError(f"the database {at}", fix="Run tallybook init.")


def _down(found: Health, error: TallybookError) -> Health:
    """What was found before this, with which nothing can be served."""
    return replace(found, serves=False, problem=error.detail, fix=error.how_to_fix or None)
