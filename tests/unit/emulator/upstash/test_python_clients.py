"""Upstash's own clients for Python, as their users call them."""

import asyncio
from collections.abc import Iterator

import pytest
from upstash_ratelimit import FixedWindow, Ratelimit, SlidingWindow, TokenBucket
from upstash_redis import Redis
from upstash_redis.asyncio import Redis as AsyncRedis
from upstash_redis.errors import UpstashError

from shared.emulator.upstash.server import LocalUpstash

LIMITERS = {
    "fixed window": FixedWindow(max_requests=3, window=3600, unit="s"),
    "sliding window": SlidingWindow(max_requests=3, window=3600, unit="s"),
    "token bucket": TokenBucket(max_tokens=3, refill_rate=1, interval=3600, unit="s"),
}


def client(upstash: LocalUpstash, token: str | None = None) -> Redis:
    return Redis(url=upstash.url, token=token or upstash.token, rest_retries=0)


@pytest.fixture
def redis(upstash: LocalUpstash) -> Iterator[Redis]:
    with client(upstash) as made:
        yield made


def test_each_family_of_commands(redis: Redis) -> None:
    assert redis.set("s", "é\U0001f600", ex=100)
    assert redis.get("s") == "é\U0001f600"
    assert redis.mset({"a": "1", "b": "2"})
    assert redis.mget("a", "b", "c") == ["1", "2", None]
    assert redis.incrbyfloat("f", 1.5) == 1.5
    assert redis.hset("h", values={"x": "1", "y": "2"}) == 2
    assert redis.hgetall("h") == {"x": "1", "y": "2"}
    assert redis.hincrby("h", "x", 4) == 5
    assert redis.rpush("l", "a", "b", "c") == 3
    assert redis.lrange("l", 0, -1) == ["a", "b", "c"]
    assert redis.sadd("set", "a", "b") == 2
    assert set(redis.smembers("set")) == {"a", "b"}
    assert redis.zadd("z", {"a": 1.5, "b": 2}) == 2
    assert redis.zrange("z", 0, -1, withscores=True) == [("a", 1.5), ("b", 2.0)]
    assert redis.zscore("z", "a") == 1.5
    assert redis.setbit("bits", 7, 1) == 0
    assert redis.bitcount("bits") == 1
    assert redis.pfadd("p", "a", "b")
    assert redis.geoadd("g", (13.361389, 38.115556, "Palermo")) == 1
    assert redis.xadd("x", "1-1", {"k": "v"}) == "1-1"
    assert redis.type("h") == "hash"
    assert redis.expire("h", 100)
    assert 0 < redis.ttl("h") <= 100
    assert "z" in redis.scan(0, match="z", count=100)[1]
    assert redis.ping() == "PONG"
    assert redis.dbsize() == 12


def test_scripts_pipelines_and_transactions(redis: Redis, upstash: LocalUpstash) -> None:
    assert redis.eval("return {KEYS[1], ARGV[1]}", keys=["k"], args=["a"]) == ["k", "a"]
    loaded = redis.script_load("return ARGV[1]")
    assert redis.evalsha(loaded, args=["x"]) == "x"
    assert redis.script_exists(loaded, "0" * 40) == [True, False]
    upstash.reset_counters()

    for batch in (redis.pipeline(), redis.multi()):
        batch.set("n", 1).incr("n").get("n")
        assert batch.exec() == [True, 2, "2"]

    assert (upstash.counters.calls, upstash.counters.commands) == (2, 6)


def test_errors_are_raised(redis: Redis, upstash: LocalUpstash) -> None:
    redis.set("s", "text")
    with pytest.raises(UpstashError, match=r"^WRONGTYPE"):
        redis.lpush("s", "x")
    with pytest.raises(UpstashError, match=r"^NOSCRIPT"):
        redis.evalsha("0" * 40)
    with client(upstash, "wrong") as stranger, pytest.raises(UpstashError, match=r"^WRONGPASS"):
        stranger.get("s")
    with client(upstash, "reads-only") as reader:
        assert reader.get("s") == "text"
        with pytest.raises(UpstashError, match=r"^NOPERM"):
            reader.set("s", "x")


def test_json_is_refused_in_upstash_words_by_a_redis_without_it(redis: Redis) -> None:
    with pytest.raises(UpstashError, match=r"^ERR Command is not available: 'JSON\.SET'"):
        redis.json.set("j", "$", {"a": 1})


def test_the_async_client(upstash: LocalUpstash) -> None:
    async def many() -> list[int]:
        async with AsyncRedis(url=upstash.url, token=upstash.token) as redis:
            return list(await asyncio.gather(*(redis.incr("n") for _ in range(50))))

    assert sorted(asyncio.run(many())) == list(range(1, 51))


@pytest.mark.parametrize("name", LIMITERS)
def test_ratelimit_allows_as_many_as_it_says(name: str, redis: Redis) -> None:
    limiter = Ratelimit(redis=redis, limiter=LIMITERS[name], prefix=name)

    allowed = [limiter.limit("somebody").allowed for _ in range(4)]

    assert allowed == [True, True, True, False]
    assert limiter.limit("another").allowed
    assert limiter.get_remaining("somebody") == 0
