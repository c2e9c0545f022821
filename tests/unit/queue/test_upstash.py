"""What a run costs on Upstash: counted calls, and what travels with them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shared.clock import Deadline
from shared.emulator.upstash.server import serving_upstash
from shared.emulator.world import World, WorldConfig
from shared.errors import ConfigError, RedisError, RedisUnreachableError
from shared.heads import Heads
from shared.queue.base import Claim, Done, Push, WakeUp
from shared.queue.factory import make_commons, queue_kind
from shared.queue.upstash import UpstashQueue, UpstashShares
from shared.settings import Settings
from shared.shares import ShareGate
from shared.sync.start import wake
from shared.upstash.client import UpstashClient
from tests.conftest import Database
from tests.fakes import FakeClock
from tests.rigs import Rig
from tests.simulation.lua_redis import LuaRedis

LEASE_S = 60.0
EPOCH_S = 1_795_000_000.0


@dataclass
class Bench:
    """A rig whose runs have their queue, their rates and their heads on one Redis."""

    rig: Rig
    redis: LuaRedis | UpstashClient
    ids: list[int] = field(default_factory=list)

    def run(self, box_s: float = 1e6) -> int:
        """One invocation; the calls that it made."""
        before = self.redis.calls
        self.join()
        self.rig.engine().run(Deadline.after(self.rig.database.clock, box_s))
        return self.redis.calls - before

    def join(self) -> None:
        """A process of its own: nothing is known to it but what Redis and the ledger say."""
        clock = self.rig.database.clock
        gate = ShareGate(
            clock, UpstashShares(self.redis), f"run{self.redis.calls}", {"etherscan": 1e3}, {}
        )
        heads = Heads(clock)
        queue = UpstashQueue(self.redis, clock, gate, heads)
        self.rig.seams = replace(self.rig.seams, queue=queue, gate=gate, heads=heads)

    def asked_for_heads(self) -> int:
        return self.rig.emulator.provider.calls["eth_blockNumber"]


def _bench(database: Database, redis: LuaRedis | UpstashClient) -> Bench:
    rig = Rig(database, World(2, WorldConfig(wallets=1, blocks=12)), latency_s=0.0)
    bench = Bench(rig, redis)
    bench.join()
    bench.ids = bench.rig.watch()
    return bench


@pytest.fixture
def bench(database: Database) -> Bench:
    clock = database.clock
    return _bench(database, LuaRedis(lambda: EPOCH_S + clock.monotonic()))


def test_the_service_bills_two_commands_and_one_for_each_further_stream(
    database: Database, redis_url: str
) -> None:
    with serving_upstash(redis_url) as upstash:
        client = UpstashClient(upstash.url, upstash.token, prefix=f"test{uuid.uuid4().hex}")
        bench = _bench(database, client)
        for count, calls in ((1, 2), (3, 4)):
            woken, bench.ids = bench.ids[:count], bench.ids[count:]
            wake(bench.rig.database.engine, bench.rig.seams.queue, woken)
            upstash.reset_counters()

            assert bench.run() == calls

            assert (upstash.counters.calls, upstash.counters.commands) == (calls, calls)
        client.close()


def test_two_calls_for_the_first_stream_and_one_for_each_further(bench: Bench) -> None:
    ids = bench.ids
    wake(bench.rig.database.engine, bench.rig.seams.queue, ids[:1])
    assert bench.run() == 2

    wake(bench.rig.database.engine, bench.rig.seams.queue, ids[1:4])
    assert bench.run() == 4


def test_an_idle_tick_asks_the_database_only(bench: Bench) -> None:
    bench.rig.engine().sweep()
    bench.run()
    before = bench.redis.calls

    assert bench.rig.engine().sweep() == 0
    assert bench.redis.calls == before


def test_the_head_that_one_run_saw_serves_the_next(bench: Bench) -> None:
    ids = bench.ids
    engine = bench.rig.database.engine
    wake(engine, bench.rig.seams.queue, ids[:1])
    bench.run()
    asked = bench.asked_for_heads()

    wake(engine, bench.rig.seams.queue, ids[1:2])
    bench.run()

    assert bench.asked_for_heads() == asked == 1


def test_a_run_that_is_over_keeps_no_share(bench: Bench) -> None:
    ids = bench.ids
    wake(bench.rig.database.engine, bench.rig.seams.queue, ids)
    bench.run()

    told = bench.redis.script("usage", {"sources": ["etherscan"]})["sources"]["etherscan"]

    assert told["holders"] == 0
    assert told["used"] > 0


class Answers(LuaRedis):
    """Loses the answer to the next call: the client then asks once more."""

    lose = False

    def script(self, name: str, ask: Mapping[str, Any]) -> Any:
        answer = super().script(name, ask)
        if self.lose:
            self.lose = False
            answer = super().script(name, ask)
        return answer


def test_a_repeated_call_claims_no_second_wake_up() -> None:
    clock = FakeClock()
    redis = Answers(lambda: EPOCH_S + clock.monotonic())
    gate = ShareGate(clock, UpstashShares(redis), "a", {}, {})
    queue = UpstashQueue(redis, clock, gate, Heads(clock))
    queue.push_many([Push(WakeUp(1)), Push(WakeUp(2)), Push(WakeUp(3))])

    redis.lose = True
    first = queue.claim(LEASE_S)
    assert first is not None
    redis.lose = True
    second = queue.finish(first, Done(), claim_next_s=LEASE_S)

    assert second is not None
    assert (first.wake_up, second.wake_up) == (WakeUp(1), WakeUp(2))
    assert queue.stats()[:3] == (1, 0, 1)


def test_settings_choose_upstash_and_say_what_is_missing(database: Database) -> None:
    named = Settings(upstash_redis_rest_url="https://x.upstash.io")
    assert queue_kind(named) == "upstash"
    assert queue_kind(Settings()) == "table"

    with pytest.raises(ConfigError, match="UPSTASH_REDIS_REST_TOKEN"):
        make_commons(named, database.engine, database.clock)
    wrong = Settings(upstash_redis_rest_url="redis://x:6379", upstash_redis_rest_token="t")
    with pytest.raises(ConfigError, match="not an http"):
        make_commons(wrong, database.engine, database.clock)


def test_vercel_s_names_for_the_variables_do_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KV_REST_API_URL", "https://x.upstash.io")
    monkeypatch.setenv("KV_REST_API_TOKEN", "secret")

    found = Settings.load()

    assert found.upstash_redis_rest_url == "https://x.upstash.io"
    assert found.upstash_redis_rest_token is not None


def test_nobody_there_is_an_error_of_ours() -> None:
    client = UpstashClient("http://127.0.0.1:9", "token")

    with pytest.raises(RedisUnreachableError) as caught:
        client.command("GET", "a")

    assert isinstance(caught.value, RedisError)
    assert "token" not in str(caught.value)


def test_a_claim_says_who_is_urgent() -> None:
    clock = FakeClock()
    redis = LuaRedis(lambda: EPOCH_S)
    gate = ShareGate(clock, UpstashShares(redis), "a", {}, {})
    queue = UpstashQueue(redis, clock, gate, Heads(clock), token=lambda: 7)
    queue.push(WakeUp(4, urgent=True))

    assert queue.claim(LEASE_S) == Claim(WakeUp(4, urgent=True), 7, 1)
