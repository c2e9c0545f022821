"""People beside the runs: they watch, stop, watch again and change the provider; and what must
be left of a wallet that nobody watches any more."""

import random
import sqlite3
from collections.abc import Callable

from sqlalchemy import Engine

from shared.clock import Clock
from shared.errors import InvalidInputError
from shared.settings import Settings
from shared.sources import registry
from shared.sync.run import SyncEngine
from shared.sync.source_change import begin_change
from shared.sync.watch import unwatch, watch
from tests.simulation.scheduler import Scheduler

CHAIN = 1
OWNERS = ("one", "two")
PROVIDERS = ("etherscan", "blockscout")
SOURCES = (None, "blockscout")
# Long against a step and short against a life: streams come back in time, or have gone.
KEEP_S = 15.0
PAUSES_S = (3.0, 6.0, 12.0, 60.0)
SECOND_ODDS = 0.15
TIDY_ROUNDS = 200

LEFT = """
SELECT (SELECT count(*) FROM stream), (SELECT count(*) FROM movement),
  (SELECT count(*) FROM balance)
"""
WORKED = "SELECT count(*), max(id) FROM run"
FEEDS = "SELECT kind, provider FROM stream WHERE live AND resting_since IS NULL ORDER BY kind"
OTHERS = "SELECT count(*) FROM stream WHERE NOT live OR resting_since IS NOT NULL"


class Users:
    """Two owners of the same address, an operator, and what they have asked for so far."""

    def __init__(
        self,
        seed: int,
        scheduler: Scheduler,
        *,
        engine: Engine,
        account: str,
        clock: Clock,
        settings: Settings,
        committed: Callable[[str, str], None],
    ) -> None:
        self._rng = random.Random(f"users/{seed}")
        self._scheduler = scheduler
        self._engine = engine
        self._account = account
        self._clock = clock
        self._settings = settings
        self._committed = committed
        self._wallets: dict[str, int] = {}
        self.address_id = 0
        self.stream_ids: list[int] = []
        self.acts = 0

    @property
    def watched(self) -> bool:
        """Whether any owner wants the address."""
        return bool(self._wallets)

    def live(self, acts: int) -> None:
        """Do one thing after the other, with pauses longer and shorter than what is kept."""
        for _ in range(acts):
            self._scheduler.sleep(self._rng.random() * self._rng.choice(PAUSES_S))
            owner = OWNERS[self._rng.random() < SECOND_ODDS]
            roll = self._rng.random()
            if roll < 0.4:
                self.change(self._rng.choice(PROVIDERS))
            elif owner not in self._wallets or roll < 0.55:
                self.watch(owner)
            else:
                self.unwatch(owner)

    def watch(self, owner: str) -> None:
        """As the API and every ``tallybook sync`` do, however often."""
        found = watch(
            self._engine,
            owner=owner,
            account=self._account,
            chain_ids=[CHAIN],
            label=None,
            source=self._rng.choice(SOURCES),
            settings=self._settings,
            clock=self._clock,
        )
        self.address_id, self.stream_ids = found.wallet.address_id, list(found.stream_ids)
        self._wallets[owner] = found.wallet.id
        self._said(f"{owner} watches")

    def unwatch(self, owner: str) -> None:
        """Streams that the other owner wants stay."""
        unwatch(self._engine, owner=owner, wallet_id=self._wallets.pop(owner))
        self._said(f"{owner} watches no more")

    def change(self, to: str) -> None:
        """Begin a change, go on with it or give one up; refused when nobody watches."""
        try:
            begin_change(self._engine, address_id=self.address_id, chain_id=CHAIN, to=to)
        except InvalidInputError:
            assert not self.watched, "a change of a watched address was refused"
            return
        assert self.watched, "a change of an address that nobody watches was begun"
        self._said(f"a change to {to} is asked for")

    def _said(self, what: str) -> None:
        self.acts += 1
        self._scheduler.note(what)
        self._committed("user", "user")

    def settle(self, driver: sqlite3.Connection, engine_of: Callable[[], SyncEngine]) -> None:
        """What is watched stands in one live stream a feed, what is not leaves nothing behind."""
        worked = driver.execute(WORKED).fetchone()
        if not self.watched:
            assert not driver.execute(FEEDS).fetchall(), "nobody watches what is live"
            engine_of().sweep()
            self._scheduler.sleep(KEEP_S + 1)
        for _ in range(TIDY_ROUNDS):
            if not engine_of().tidy():
                break
        else:
            message = "tidy finds no end"
            raise AssertionError(message)
        if not self.watched:
            assert driver.execute(WORKED).fetchone() == worked, "an unwatched stream was worked"
            assert driver.execute(LEFT).fetchone() == (0, 0, 0), "unwatched, but not gone"
            return
        self._assert_whole(driver)

    def _assert_whole(self, driver: sqlite3.Connection) -> None:
        """Every feed of some provider is live, once, and nothing else is there."""
        feeds = driver.execute(FEEDS).fetchall()
        kinds = {kind for kind, _ in feeds}
        assert len(kinds) == len(feeds), f"a feed is live twice: {feeds}"
        of_any = [{kind.value for kind in registry.kinds(key, CHAIN)} for key in PROVIDERS]
        assert kinds in of_any, f"not the feeds of any provider: {feeds}"
        assert driver.execute(OTHERS).fetchone() == (0,), "streams are left that nobody wants"
