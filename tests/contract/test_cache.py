"""The promises of ``Cache`` and of a read through it, kept by every implementation."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from shared.cache.base import MOST_BYTES, Cache, Hit, Key
from shared.cache.fill import Fills
from shared.cache.memory import MemoryCache
from shared.cache.remote import RemoteCache
from shared.cache.tokens import KNOWN_S, UNKNOWN_S, Token, TokenCache
from shared.clock import Clock, SystemClock
from shared.emulator.dice import Dice
from shared.emulator.upstash.server import serving_upstash
from shared.upstash.client import UpstashClient
from shared.upstash.tcp import TcpClient
from tests.fakes import FakeClock

LONG_S = 600.0
KEY = Key("thing", 1, ("a", 7))


class Thing(msgspec.Struct, frozen=True):
    name: str
    amounts: list[int]


class Renamed(msgspec.Struct, frozen=True):
    title: str


THING = Thing("ö\N{ROCKET}", [2**63 - 1, 0, -1])


@dataclass
class Harness:
    """A cache, and the means to let time pass for it."""

    cache: Cache
    clock: Clock
    advance: Callable[[float], None]


@pytest.fixture
def memory() -> Harness:
    clock = FakeClock()
    return Harness(MemoryCache(clock, Dice("memory")), clock, clock.advance)


def _remote(client: UpstashClient | TcpClient) -> Harness:
    clock = SystemClock()
    prefix = f"test{uuid.uuid4().hex}"

    def advance(seconds: float) -> None:
        # A server's clock cannot be moved: what it keeps ends sooner instead.
        for name in client.command("KEYS", f"{{{prefix}}}:*"):
            left_ms = int(client.command("PTTL", name)) - round(seconds * 1000)
            client.command("PEXPIRE", name, str(left_ms))

    return Harness(RemoteCache(client, clock, Dice("remote"), prefix=prefix), clock, advance)


@pytest.fixture
def upstash(redis_url: str) -> Iterator[Harness]:
    with serving_upstash(redis_url) as server:
        client = UpstashClient(server.url, server.token)
        yield _remote(client)
        client.close()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Harness]:
    client = TcpClient(redis_url)
    yield _remote(client)
    client.close()


@pytest.fixture(params=["memory", "upstash", "redis"])
def harness(request: pytest.FixtureRequest) -> Harness:
    found: Harness = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def cache(harness: Harness) -> Cache:
    return harness.cache


@pytest.fixture
def fills(harness: Harness) -> Fills:
    return Fills(harness.cache, harness.clock)


def _never() -> Thing:
    raise AssertionError


def test_what_was_never_put_is_a_miss(cache: Cache) -> None:
    assert cache.get(KEY, Thing) is None


def test_what_was_put_comes_back_whole(cache: Cache) -> None:
    cache.put(KEY, THING, LONG_S)

    assert cache.get(KEY, Thing) == Hit(THING)


@pytest.mark.parametrize("value", [0, "", [], False, {}])
def test_what_looks_like_nothing_is_a_value(cache: Cache, value: Any) -> None:
    cache.put(KEY, value, LONG_S)

    assert cache.get(KEY, type(value)) == Hit(value)


def test_nothing_is_an_answer_and_no_miss(cache: Cache) -> None:
    cache.put(KEY, None, LONG_S)

    assert cache.get(KEY, Thing) == Hit(None)
    assert cache.get(KEY._replace(which=("b",)), Thing) is None


def test_the_last_put_counts(cache: Cache) -> None:
    cache.put(KEY, None, LONG_S)
    cache.put(KEY, THING, LONG_S)
    cache.put(KEY, THING, LONG_S)

    assert cache.get(KEY, Thing) == Hit(THING)


def test_another_version_or_space_or_name_is_another_entry(cache: Cache) -> None:
    cache.put(KEY, THING, LONG_S)

    for other in (
        KEY._replace(version=2),
        KEY._replace(space="things"),
        KEY._replace(which=("a", 77)),
        KEY._replace(which=("a/7",)),
    ):
        assert cache.get(other, Thing) is None


def test_another_shape_is_a_miss_and_no_error(cache: Cache) -> None:
    cache.put(KEY, Renamed("x"), LONG_S)

    assert cache.get(KEY, Thing) is None


def test_an_entry_ends(harness: Harness) -> None:
    harness.cache.put(KEY, THING, LONG_S)

    harness.advance(LONG_S * 0.89)
    assert harness.cache.get(KEY, Thing) == Hit(THING)
    harness.advance(LONG_S * 0.22)

    assert harness.cache.get(KEY, Thing) is None


def test_a_dropped_entry_is_gone_and_dropping_nothing_is_no_error(cache: Cache) -> None:
    cache.put(KEY, THING, LONG_S)
    cache.drop(KEY)
    cache.drop(KEY)

    assert cache.get(KEY, Thing) is None


def test_what_is_too_large_is_not_kept_and_said(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.put(KEY, "small", LONG_S)

    with caplog.at_level(logging.WARNING):
        cache.put(KEY, "x" * MOST_BYTES, LONG_S)

    assert cache.get(KEY, str) is None  # nor what was there before
    assert "too large for the cache" in caplog.text
    cache.put(KEY, "x" * (MOST_BYTES - 2), LONG_S)
    assert cache.get(KEY, str) is not None


def test_a_fill_builds_once(fills: Fills) -> None:
    assert fills.filled(KEY, Thing, lambda: THING, ttl_s=LONG_S) == THING
    assert fills.filled(KEY, Thing, _never, ttl_s=LONG_S) == THING


def test_a_failed_fill_is_not_kept_and_holds_nobody_up(fills: Fills) -> None:
    with pytest.raises(AssertionError):
        fills.filled(KEY, Thing, _never, ttl_s=LONG_S)

    began = time.monotonic()
    assert fills.filled(KEY, Thing, lambda: THING, ttl_s=LONG_S) == THING
    assert time.monotonic() - began < 1


def test_nothing_is_kept_for_a_time_of_its_own(harness: Harness) -> None:
    fills = Fills(harness.cache, harness.clock)

    def ask(answer: Thing | None) -> Thing | None:
        return fills.filled(KEY, Thing, lambda: answer, ttl_s=LONG_S, nothing_ttl_s=100)

    assert ask(None) is None
    assert ask(THING) is None
    harness.advance(111)
    assert ask(THING) == THING


def test_nothing_is_not_kept_unless_told_to(fills: Fills) -> None:
    assert fills.filled(KEY, Thing, lambda: None, ttl_s=LONG_S) is None
    assert fills.filled(KEY, Thing, lambda: THING, ttl_s=LONG_S) == THING


def test_a_stampede_of_threads_builds_once(fills: Fills) -> None:
    built: list[int] = []
    found: list[Thing | None] = []
    start = threading.Barrier(10)

    def build() -> Thing:
        built.append(1)
        time.sleep(0.3)  # noqa: TID251 - real threads
        return THING

    def ask() -> None:
        start.wait()
        found.append(fills.filled(KEY, Thing, build, ttl_s=LONG_S))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(built), found) == (1, [THING] * 10)


def test_threads_that_wait_get_the_error_of_the_one_that_builds(fills: Fills) -> None:
    building = threading.Event()
    errors: list[str] = []

    def build() -> Thing:
        building.set()
        time.sleep(0.3)  # noqa: TID251 - real threads
        message = "no such luck"
        raise ValueError(message)

    def ask() -> None:
        try:
            fills.filled(KEY, Thing, build, ttl_s=LONG_S)
        except ValueError as exc:
            errors.append(str(exc))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
        building.wait()
    for thread in threads:
        thread.join()

    assert errors == ["no such luck"] * 3


def test_who_waits_too_long_builds_itself(fills: Fills) -> None:
    building, enough = threading.Event(), threading.Event()

    def slow() -> Thing:
        building.set()
        enough.wait(10)
        return THING

    thread = threading.Thread(target=lambda: fills.filled(KEY, Thing, slow, ttl_s=LONG_S))
    thread.start()
    building.wait()

    mine = fills.filled(KEY, Thing, lambda: Thing("mine", []), ttl_s=LONG_S, wait_s=0.05)

    enough.set()
    thread.join()
    assert mine == Thing("mine", [])


def test_tokens_are_known_for_a_month_and_unknown_for_a_day(harness: Harness) -> None:
    tokens = TokenCache(Fills(harness.cache, harness.clock))
    coin, junk = b"c" * 20, b"j" * 20
    usdc, no_words = Token("USDC", "USD Coin", 6), Token(None, None, None)
    asked: list[bytes] = []

    def token(contract: bytes, answer: Token | None) -> Token | None:
        def ask() -> Token | None:
            asked.append(contract)
            return answer

        return tokens.token(1, contract, ask)

    assert (token(coin, usdc), token(junk, None)) == (usdc, None)
    assert (token(coin, None), token(junk, usdc)) == (usdc, None)
    assert asked == [coin, junk]
    harness.advance(UNKNOWN_S * 1.11)
    assert (token(coin, None), token(junk, no_words)) == (usdc, no_words)
    tokens.forget(1, junk)
    assert token(junk, usdc) == usdc
    harness.advance(KNOWN_S * 1.11)
    assert token(coin, None) is None
