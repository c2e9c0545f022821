"""A provider is asked once for what is shared, in its turn, and never while it asks to wait."""

from collections.abc import Callable

import pytest

from schema.types import StreamKind
from shared.clock import Deadline
from shared.errors import (
    SourcePayloadError,
    SourceRateLimitedError,
    SourceTimeoutError,
    SourceUnavailableError,
)
from shared.gate import Pacer
from shared.heads import KEPT_S, Heads
from shared.sources.base import Answer, FeedRef, Limits, RangeQuery
from shared.sync.reader import Reader
from tests.fakes import FakeClock

FEED = FeedRef(1, "0x" + "a" * 40, StreamKind.NATIVE)
QUERY = RangeQuery(0, 9, 1, 10)


class Provider:
    """Counts what it is asked; ``fails`` is raised instead of the next answer."""

    key = "etherscan"

    def __init__(self, clock: FakeClock, key: str = "etherscan") -> None:
        self.key = key
        self.asked: list[str] = []
        self.fails: Exception | None = None
        self.fails_always = False
        self.number = 100
        self.takes_s = 0.0
        self._clock = clock

    def limits(self, chain_id: int) -> Limits:
        return Limits(10, 100, 1.0, chain_id)

    def head(self, chain_id: int, _deadline: Deadline) -> int:
        self._ask(f"head {chain_id}")
        return self.number

    def block_hash(self, chain_id: int, block: int, _deadline: Deadline) -> bytes | None:
        self._ask(f"hash {chain_id} {block}")
        return None if block > self.number else bytes([block, self.number])

    def fetch(self, feed: FeedRef, query: RangeQuery, _deadline: Deadline) -> Answer:
        self._ask(f"fetch {feed.kind} {query.page}")
        return Answer([], {})

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self._clock.advance(self.takes_s)
        if self.fails is not None:
            fails = self.fails
            if not self.fails_always:
                self.fails = None
            raise fails


@pytest.fixture
def provider(clock: FakeClock) -> Provider:
    return Provider(clock)


@pytest.fixture
def reader(provider: Provider, clock: FakeClock) -> Reader:
    return Reader(lambda _: provider, Pacer(clock, {"etherscan": 1.0}), Heads(clock), clock)


@pytest.fixture
def within(clock: FakeClock) -> Callable[[float], Deadline]:
    return lambda seconds: Deadline.after(clock, seconds)


Within = Callable[[float], Deadline]


def test_head_is_asked_once_for_all_streams_and_again_when_it_is_old(
    reader: Reader, provider: Provider, clock: FakeClock, within: Within
) -> None:
    assert [reader.head("etherscan", 1, within(30)) for _ in range(3)] == [100] * 3
    assert reader.head("etherscan", 10, within(30)) == 100
    assert provider.asked == ["head 1", "head 10"]

    provider.number = 101
    clock.advance(KEPT_S)

    assert reader.head("etherscan", 1, within(30)) == 101


def test_age_of_a_head_counts_from_the_question_not_from_the_answer(
    reader: Reader, provider: Provider, within: Within
) -> None:
    provider.takes_s = KEPT_S
    reader.head("etherscan", 1, within(30))
    reader.head("etherscan", 1, within(30))

    assert len(provider.asked) == 2


def test_hash_is_asked_once_and_an_unknown_one_twice(
    reader: Reader, provider: Provider, within: Within
) -> None:
    assert reader.block_hash("etherscan", 1, 5, within(30)) == bytes([5, 100])
    assert reader.block_hash("etherscan", 1, 5, within(30)) == bytes([5, 100])
    assert reader.block_hash("etherscan", 1, 200, within(30)) is None
    assert reader.block_hash("etherscan", 1, 200, within(30)) is None

    assert provider.asked == ["hash 1 5", "hash 1 200", "hash 1 200"]


def test_old_hashes_are_dropped(
    reader: Reader, provider: Provider, clock: FakeClock, within: Within
) -> None:
    reader.block_hash("etherscan", 1, 5, within(30))
    clock.advance(KEPT_S)
    reader.block_hash("etherscan", 1, 6, within(30))

    assert list(reader._hashes) == [("etherscan", 1, 6)]
    reader.block_hash("etherscan", 1, 5, within(30))
    assert provider.asked == ["hash 1 5", "hash 1 6", "hash 1 5"]


def test_a_chain_that_reorganised_is_forgotten_and_others_are_not(
    reader: Reader, provider: Provider, within: Within
) -> None:
    for chain_id in (1, 10):
        reader.head("etherscan", chain_id, within(30))
        reader.block_hash("etherscan", chain_id, 5, within(30))
    provider.asked.clear()

    reader.forget("etherscan", 1)
    reader.forget("etherscan", 137)
    for chain_id in (1, 10):
        reader.head("etherscan", chain_id, within(30))
        reader.block_hash("etherscan", chain_id, 5, within(30))

    assert provider.asked == ["head 1", "hash 1 5"]


def test_pages_are_never_kept(reader: Reader, provider: Provider, within: Within) -> None:
    for _ in range(2):
        reader.fetch("etherscan", FEED, QUERY, within(30))

    assert provider.asked == ["fetch native 1"] * 2


def test_calls_are_spaced_as_the_provider_wants(
    reader: Reader, clock: FakeClock, within: Within
) -> None:
    began = clock.monotonic()
    for _ in range(4):
        reader.fetch("etherscan", FEED, QUERY, within(30))

    assert clock.monotonic() - began == pytest.approx(3.0)


def test_nobody_asks_while_the_provider_wants_us_to_wait(
    reader: Reader, provider: Provider, clock: FakeClock, within: Within
) -> None:
    provider.fails = SourceRateLimitedError("etherscan", "slow down", retry_after_s=60)
    with pytest.raises(SourceRateLimitedError, match="slow down"):
        reader.fetch("etherscan", FEED, QUERY, within(30))

    with pytest.raises(SourceRateLimitedError, match="our turn") as caught:
        reader.head("etherscan", 1, within(30))
    assert caught.value.retry_after_s == pytest.approx(60)
    assert len(provider.asked) == 1

    clock.advance(60)
    assert reader.head("etherscan", 1, within(30)) == 100


def test_a_failure_is_not_kept(reader: Reader, provider: Provider, within: Within) -> None:
    provider.fails = SourcePayloadError("etherscan", "a head of -1")
    with pytest.raises(SourcePayloadError):
        reader.head("etherscan", 1, within(30))

    assert reader.head("etherscan", 1, within(30)) == 100


def test_a_call_that_broke_once_is_tried_again(
    reader: Reader, provider: Provider, within: Within
) -> None:
    provider.fails = SourceUnavailableError("etherscan", "HTTP 500")

    assert reader.head("etherscan", 1, within(30)) == 100


def test_a_provider_too_slow_for_the_time_given_is_not_asked_again(
    reader: Reader, provider: Provider, within: Within
) -> None:
    provider.fails = SourceTimeoutError("etherscan", "no answer in 5 s")

    with pytest.raises(SourceTimeoutError):
        reader.head("etherscan", 1, within(30))
    assert provider.asked == ["head 1"]


def test_a_broken_call_is_not_tried_again_when_there_is_no_time(
    reader: Reader, provider: Provider, within: Within
) -> None:
    provider.fails = SourceUnavailableError("etherscan", "HTTP 500")

    with pytest.raises(SourceUnavailableError):
        reader.head("etherscan", 1, within(0.1))
    assert provider.asked == ["head 1"]


def test_a_provider_that_stays_broken_is_asked_three_times(
    reader: Reader, provider: Provider, within: Within
) -> None:
    provider.fails, provider.fails_always = SourceUnavailableError("etherscan", "HTTP 500"), True

    with pytest.raises(SourceUnavailableError):
        reader.head("etherscan", 1, within(30))
    assert provider.asked == ["head 1"] * 3


def test_limits_are_the_sources_own(reader: Reader) -> None:
    assert reader.limits("etherscan", 7) == Limits(10, 100, 1.0, 7)


def test_a_lower_hash_is_never_older_than_a_higher_one(
    reader: Reader, provider: Provider, within: Within
) -> None:
    before = reader.block_hash("etherscan", 1, 5, within(30))
    provider.number = 101  # every hash of this provider is another now: the chain forked
    reader.block_hash("etherscan", 1, 50, within(30))

    assert reader.block_hash("etherscan", 1, 5, within(30)) != before
