"""What each cache does in its own way: bounds in memory, outages and strangers on Upstash."""

import json
import logging
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.cache.base import Hit, Key, jittered
from shared.cache.factory import make_cache
from shared.cache.fill import Fills
from shared.cache.memory import MemoryCache
from shared.cache.remote import LEFT_ALONE_S, RemoteCache
from shared.clock import SystemClock
from shared.emulator.dice import Dice
from shared.emulator.upstash.server import LocalUpstash, serving_upstash
from shared.errors import ConfigError
from shared.settings import Settings
from shared.upstash.client import UpstashClient
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]
LONG_S = 600.0
PROCESSES = 3
FILLER = """
import sys, time
from shared.cache.base import Key
from shared.cache.fill import Fills
from shared.cache.remote import RemoteCache
from shared.clock import SystemClock
from shared.upstash.client import UpstashClient
import random
url, token, prefix, start = sys.argv[1:]
clock = SystemClock()
client = UpstashClient(url, token)
fills = Fills(RemoteCache(client, clock, random.Random(), prefix=prefix), clock)
def build():
    client.command("INCR", prefix + ":built")
    time.sleep(0.5)
    return [1, 2, 3]
client.command("PING")
time.sleep(max(0, float(start) - time.time()))
print(fills.filled(Key("x", 1, ()), list[int], build, ttl_s=60))
"""


def key(which: object) -> Key:
    return Key("thing", 1, (which,))


def test_memory_forgets_what_was_used_longest_ago() -> None:
    cache = MemoryCache(FakeClock(), Dice("x"), most_entries=3)
    for which in "abc":
        cache.put(key(which), which, LONG_S)
    assert cache.get(key("a"), str) == Hit("a")

    cache.put(key("d"), "d", LONG_S)

    assert [cache.get(key(which), str) is not None for which in "abcd"] == [True, False, True, True]


def test_memory_is_bounded_by_bytes() -> None:
    cache = MemoryCache(FakeClock(), Dice("x"), most_bytes=1_000)
    for number in range(50):
        cache.put(key(number), "x" * 98, LONG_S)
    assert len(cache) == 10

    cache.put(key("huge"), "x" * 1_000, LONG_S)

    assert cache.get(key("huge"), str) is None
    assert len(cache) == 10


def test_a_caller_that_changes_what_it_got_changes_nobody_else_s() -> None:
    cache = MemoryCache(FakeClock(), Dice("x"))
    cache.put(key("a"), [1], LONG_S)
    found = cache.get(key("a"), list[int])
    assert found is not None
    assert found.value is not None
    found.value.append(2)

    assert cache.get(key("a"), list[int]) == Hit([1])


def test_what_is_put_together_does_not_end_together() -> None:
    dice = Dice("jitter")
    times = [jittered(100.0, dice) for _ in range(500)]

    assert 90 <= min(times) < 92
    assert 108 < max(times) <= 110


@dataclass
class Remote:
    """A cache on Upstash with a clock of the test's, and its server."""

    cache: RemoteCache
    clock: FakeClock
    server: LocalUpstash
    client: UpstashClient


@pytest.fixture
def remote(redis_url: str) -> Iterator[Remote]:
    clock = FakeClock()
    with serving_upstash(redis_url) as server:
        client = UpstashClient(server.url, server.token, timeout_s=0.5)
        cache = RemoteCache(client, clock, Dice("x"), prefix=f"test{uuid.uuid4().hex}")
        yield Remote(cache, clock, server, client)
        client.close()


def test_one_call_a_step(remote: Remote) -> None:
    remote.cache.put(key("a"), 1, LONG_S)
    remote.cache.get(key("a"), int)
    remote.cache.get(key("b"), int)
    remote.cache.drop(key("a"))

    assert remote.client.calls == 4


def test_an_outage_in_the_middle_is_a_miss_said_once_and_over_by_itself(
    remote: Remote, caplog: pytest.LogCaptureFixture
) -> None:
    cache = remote.cache
    fills = Fills(cache, remote.clock)
    cache.put(key("a"), 1, LONG_S)
    remote.server.refuse()
    calls = remote.client.calls

    with caplog.at_level(logging.WARNING):
        for number in range(20):
            assert cache.get(key("a"), int) is None
            cache.put(key(number), 1, LONG_S)
            assert fills.filled(key("a"), int, lambda: 7, ttl_s=LONG_S) == 7
        assert remote.client.calls == calls + 1  # a dead cache costs one caller one try
        remote.clock.advance(LEFT_ALONE_S + 1)
        assert cache.get(key("a"), int) is None
        assert remote.client.calls == calls + 2

        remote.server.accept()
        assert cache.get(key("a"), int) is None  # left alone still
        remote.clock.advance(LEFT_ALONE_S + 1)
        assert cache.get(key("a"), int) == Hit(1)

    said = [record.message for record in caplog.records]
    assert said == ["cache out of reach: going on without it", "cache is back"]


@pytest.mark.parametrize("fault", ["dropped", "cut", "lost", "nonsense", "denied", "limit", "slow"])
def test_whatever_goes_wrong_is_a_miss(remote: Remote, fault: str) -> None:
    remote.cache.put(key("a"), 1, LONG_S)
    remote.server.faults.add(fault, times=None)

    began = time.monotonic()
    assert remote.cache.get(key("a"), int) is None
    assert time.monotonic() - began < 2.5

    remote.server.faults.clear()
    remote.clock.advance(LEFT_ALONE_S + 1)
    assert remote.cache.get(key("a"), int) == Hit(1)


@pytest.mark.parametrize("fault", ["dropped", "lost", "cut"])
def test_a_connection_that_was_cut_is_no_outage(remote: Remote, fault: str) -> None:
    """As after a platform has frozen us: the call is made once more."""
    remote.cache.put(key("a"), 1, LONG_S)
    remote.server.faults.add(fault, times=1)
    assert remote.cache.get(key("a"), int) == Hit(1)
    remote.server.faults.add(fault, times=1)
    remote.cache.put(key("a"), 2, LONG_S)
    remote.server.faults.add(fault, times=1, only="SET")
    assert Fills(remote.cache, remote.clock).filled(key("b"), int, lambda: 3, ttl_s=9) == 3

    assert remote.cache.get(key("a"), int) == Hit(2)
    assert remote.cache.get(key("b"), int) == Hit(3)


def test_a_stampede_of_processes_builds_once(redis_url: str) -> None:
    prefix = f"test{uuid.uuid4().hex}"
    with serving_upstash(redis_url) as server:
        start = str(time.time() + 2.5)  # noqa: TID251 - three processes, one moment
        command = [sys.executable, "-c", FILLER, server.url, server.token, prefix, start]
        processes = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603
            for _ in range(PROCESSES)
        ]
        answers = [process.communicate(timeout=60)[0] for process in processes]
        client = UpstashClient(server.url, server.token)
        built = int(client.command("GET", f"{prefix}:built"))
        client.close()

    assert [json.loads(answer) for answer in answers] == [[1, 2, 3]] * PROCESSES
    assert built == 1


def test_a_filler_that_died_holds_the_others_up_for_a_moment_only(remote: Remote) -> None:
    fills = Fills(remote.cache, remote.clock)
    assert remote.cache.reserve(key("a"), 10)

    assert fills.filled(key("a"), int, lambda: 5, ttl_s=LONG_S) == 5
    assert 1.5 < remote.clock.monotonic() <= 2.0
    assert remote.cache.get(key("a"), int) == Hit(5)


def test_settings_choose_and_keep_ledgers_apart(redis_url: str) -> None:
    clock = SystemClock()
    assert isinstance(make_cache(Settings(), clock, Dice("x")), MemoryCache)
    with serving_upstash(redis_url) as server:

        def make(database: str) -> RemoteCache:
            settings = Settings(
                upstash_redis_rest_url=server.url,
                upstash_redis_rest_token=SecretStr(server.token),
                database_url=SecretStr(database),
            )
            made = make_cache(settings, clock, Dice("x"))
            assert isinstance(made, RemoteCache)
            return made

        mine, same, preview = make("postgresql://a"), make("postgresql://a"), make("sqlite:///b")
        mine.put(key("a"), 1, LONG_S)
        assert same.get(key("a"), int) == Hit(1)
        assert preview.get(key("a"), int) is None
        for cache in (mine, same, preview):
            cache.close()
    with pytest.raises(ConfigError, match="UPSTASH_REDIS_REST_TOKEN"):
        make_cache(Settings(upstash_redis_rest_url="https://x.upstash.io"), clock, Dice("x"))
