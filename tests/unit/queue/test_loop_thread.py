"""Coroutines for callers that are none."""

import asyncio
import threading
import time

import pytest

from shared.queue.loop_thread import LoopThread


async def name_of_thread() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


async def never() -> None:
    await asyncio.sleep(3600)


async def gone() -> None:
    message = "gone"
    raise ConnectionResetError(message)


async def late() -> None:
    message = "theirs"
    raise TimeoutError(message)


def test_all_of_it_runs_in_one_thread_also_after_it_was_closed() -> None:
    loop = LoopThread("ours")
    loop.close()
    for _ in range(2):
        assert {loop.run(name_of_thread(), 5) for _ in range(3)} == {"ours"}
        loop.close()
        loop.close()


def test_what_takes_too_long_is_cancelled() -> None:
    loop = LoopThread("ours")
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        loop.run(never(), 0.05)

    assert time.monotonic() - began < 2
    assert loop.run(name_of_thread(), 5) == "ours"
    loop.close()


def test_errors_come_through() -> None:
    loop = LoopThread("ours")

    with pytest.raises(ConnectionResetError, match="gone"):
        loop.run(gone(), 5)
    with pytest.raises(TimeoutError, match="theirs"):
        loop.run(late(), 5)
    loop.close()


def test_loop_that_was_closed_by_another_thread_just_now_is_a_named_error() -> None:
    loop = LoopThread("ours")
    loop._loop = asyncio.new_event_loop()
    loop._loop.close()

    with pytest.raises(ConnectionAbortedError):
        loop.run(name_of_thread(), 5)


def test_closing_ends_what_others_wait_for_with_an_error() -> None:
    loop = LoopThread("ours")
    loop.run(name_of_thread(), 5)
    seen: list[type[BaseException]] = []

    def wait() -> None:
        try:
            loop.run(never(), 60)
        except ConnectionAbortedError as exc:
            seen.append(type(exc))

    waiters = [threading.Thread(target=wait) for _ in range(4)]
    for waiter in waiters:
        waiter.start()
    time.sleep(0.1)  # noqa: TID251 - threads take real time
    loop.close()
    for waiter in waiters:
        waiter.join(5)

    assert seen == [ConnectionAbortedError] * 4
