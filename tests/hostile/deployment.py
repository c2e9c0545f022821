"""A deployment on the platform: our application's environment, its services, and its user."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import httpx
from sqlalchemy import Engine

from schema.engine import make_engine, reading
from schema.sql import Statement
from shared.clock import SystemClock
from shared.emulator.dice import Dice
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.upstash.server import LocalUpstash, serving_upstash
from shared.emulator.world import World
from shared.ops.verify import verify
from tests import commands, truth
from tests.hostile.faults import QUIET, Odds, Weather
from tests.hostile.front import MARK, Platform, platform
from tests.hostile.journal import Rules
from tests.hostile.wire import wire_to

CHAIN, SMALL_CHAIN = 1, 137  # the first wallet's, whose history is long, and all others'
SECRET, TOKEN = "cron-secret", "token-of-the-owner"
LONGEST_CALL_S = 60.0
MOST_TRIES = 20
SEEN_LATER_S = 1.5  # a connection that has just rested is trusted: schema/engine.py

_STATES = Statement("""
SELECT state || coalesce(' ' || error_code, ''), count(*) FROM {t}stream GROUP BY 1
""")


@dataclass
class Deployment:
    """What a test has in its hands."""

    platform: Platform
    client: httpx.Client
    engine: Engine
    world: World
    upstash: LocalUpstash
    weather: Weather
    spoiled: Counter[str] = field(default_factory=Counter)

    def chain_of(self, wallet: bytes) -> int:
        """Where a wallet is followed."""
        return CHAIN if wallet == self.world.wallets[0] else SMALL_CHAIN

    def follow(self, wallet: bytes) -> int:
        """Have a wallet; as a person does, ask again when it failed."""
        chains = [self.chain_of(wallet)]
        body = {"address": truth.hexed(wallet), "chains": chains, "source": "etherscan"}
        for _ in range(MOST_TRIES):
            begin = time.monotonic()
            answer = self.client.post("/api/wallets", json=body)
            if answer.status_code in {200, 201}:
                number: int = answer.json()["id"]
                return number
            self.excuse(answer, begin)
            time.sleep(0.2)  # noqa: TID251 - a person's patience
        raise AssertionError(answer.text)

    def excuse(self, answer: httpx.Response, begin: float) -> None:
        """A user's error has a cause that is not ours: the platform, or the database's absence."""
        if MARK in answer.headers:
            self.spoiled[answer.headers[MARK]] += 1
            return
        what = f"{answer.status_code} {answer.text}"
        assert answer.status_code == 503, what
        assert answer.headers["content-type"] == "application/problem+json", what
        assert self.weather.had_outage(begin - SEEN_LATER_S, time.monotonic()), what
        self.spoiled[answer.json()["code"]] += 1

    def states(self) -> dict[str, int]:
        """Streams by state, from the ledger: no invocation is needed to look."""
        with reading(self.engine) as connection:
            return {str(state): int(number) for state, number in _STATES.run(connection)}

    def wait_until_done(self, patience_s: float) -> None:
        """Until every stream is up to date, all six of each wallet."""
        give_up = time.monotonic() + patience_s
        while set(states := self.states()) != {"up_to_date"}:
            assert time.monotonic() < give_up, states
            time.sleep(0.5)  # noqa: TID251 - real processes

    def calm_down(self) -> None:
        """From now on nothing goes wrong; who is in a pause comes out of it."""
        self.weather.clear_up()
        self.platform.fleet.odds = QUIET

    def assert_true(self) -> None:
        """The ledger is the oracle's, to the last movement of each wallet, and nothing else."""
        for wallet in self.world.wallets:
            truth.assert_ledger_is_true(self.engine, self.world, wallet, self.chain_of(wallet))
        assert verify(self.engine).agrees

    def told(self) -> str:
        """What the platform did and what its instances said, for whoever reads a failure."""
        said = self.platform.stderr.read_text() if self.platform.stderr.exists() else ""
        return f"{self.platform.journal.told()}; weather {dict(self.weather.met)}\n{said[-6000:]}"


@contextlib.contextmanager
def deployment(
    world: World,
    postgres_url: str,
    redis_url: str,
    home: Path,
    *,
    seed: int,
    rules: Rules,
    odds: Odds | None = None,
    env: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Deployment]:
    """Our application on a platform with these rules; ``odds`` make it hostile."""
    dice = Dice(f"hostile/{seed}")
    engine = make_engine(postgres_url, now=SystemClock().now)
    with contextlib.ExitStack() as stack:
        stack.callback(engine.dispose)
        base = stack.enter_context(serving(Emulator(WorldStore(world))))
        upstash = stack.enter_context(serving_upstash(redis_url))
        upstash.empty()
        wire = stack.enter_context(wire_to(postgres_url)) if odds else None
        every_s = odds.storm_every_s if odds else 0.0
        weather = Weather(Dice(f"weather/{seed}"), every_s, wire, upstash)
        found = stack.enter_context(platform(rules, home, dice))
        found.fleet.env = commands.environment(
            home,
            url=wire.url_of(postgres_url) if wire else postgres_url,
            base=base,
            VERCEL="1",
            RUN_TRIGGER="self",
            PUBLIC_URL=found.url,
            API_TOKEN=TOKEN,
            CRON_SECRET=SECRET,
            UPSTASH_REDIS_REST_URL=upstash.url,
            UPSTASH_REDIS_REST_TOKEN=upstash.token,
            SOURCE__ETHERSCAN__CALLS_PER_S="1000",
            **env,
        )
        bearer = {"authorization": f"Bearer {TOKEN}"}
        client = stack.enter_context(
            httpx.Client(
                base_url=found.url, headers=bearer, timeout=LONGEST_CALL_S, trust_env=False
            )
        )
        made = Deployment(found, client, engine, world, upstash, weather)
        try:
            if odds:
                found.fleet.odds = odds
            weather.begin()
            yield made
        except BaseException as exc:
            exc.add_note(f"seed {seed}: {made.told()}")
            raise
        finally:
            made.calm_down()
