"""An event loop in a thread of its own, for a library that is asyncio only."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotInTimeError
from typing import Any, TypeVar

T = TypeVar("T")

JOIN_S = 5.0
CLOSED = "closed while it was used"


class LoopThread:
    """Runs coroutines for callers that are no coroutines; begun with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """What ``work`` returns or raises.

        Raises:
            TimeoutError: It took longer; it was cancelled, and may have had its effect.
            ConnectionAbortedError: The loop was closed meanwhile.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._started())
        except RuntimeError as exc:  # closed by another thread between these two
            work.close()
            raise ConnectionAbortedError(CLOSED) from exc
        try:
            return future.result(timeout_s)
        except NotInTimeError:
            if future.cancel() or not future.done():
                raise
            return future.result()  # it came just now, and may hold what nobody else gives back
        except CancelledError as exc:
            raise ConnectionAbortedError(CLOSED) from exc

    def close(self) -> None:
        """End the loop; whatever still runs in it is dropped."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(JOIN_S)
        if not thread.is_alive():  # pragma: no branch - unless a coroutine does not give way
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_forever, args=(loop,), name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
