"""A user who reads while the platform does its worst, and knows what each answer may say."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from schema.types import StreamKind
from shared.emulator.truth import Move
from tests import truth
from tests.flows.onlooker import Line, as_told, line_of
from tests.hostile.deployment import CHAIN, MOST_TRIES, Deployment

KINDS = tuple(kind.value for kind in StreamKind)


@dataclass
class Reader:
    """Walks through a wallet's history, newest first, from a thread of its own."""

    site: Deployment
    wallet_id: int
    walks: int = 0

    def __post_init__(self) -> None:
        moves = truth.true_movements(self.site.world, self.site.world.wallets[0], CHAIN, KINDS)
        self._true = _by_stream(moves)
        self._stream_of = {line: kind for kind, lines in self._true.items() for line in lines}
        self._over = threading.Event()
        self._wrong: list[BaseException] = []
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._wrong:
            raise self._wrong[0]

    def reads_all(self) -> None:
        """Once all is done and well, one walk tells the whole history."""
        assert self._walk() == sum(self._true.values(), Counter())

    def _read(self) -> None:
        try:
            while not self._over.wait(0.2):
                self._get("/sync")
                self._get("/balances")
                self._judge(self._walk())
                self.walks += 1
        except BaseException as exc:  # noqa: BLE001 - raised where the test waits
            self._wrong.append(exc)

    def _walk(self) -> Counter[Line]:
        """All pages."""
        lines: list[Line] = []
        cursor: dict[str, str] = {}
        while True:
            page = self._get("/history", limit="500", **cursor)
            lines += [as_told(item) for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        blocks = [line[0] for line in lines]
        assert blocks == sorted(blocks, reverse=True)
        return Counter(lines)

    def _judge(self, told: Counter[Line]) -> None:
        """Of each feed all is told up to some block, once, and nothing else.

        A feed that grows while it is read is met in the middle of a block at most.
        """
        by_stream: dict[str, Counter[Line]] = {}
        for line, number in told.items():
            assert line in self._stream_of, f"made up: {line}"
            by_stream.setdefault(self._stream_of[line], Counter())[line] = number
        for kind, lines in by_stream.items():
            true, top = self._true[kind], max(line[0] for line in lines)
            below = {line: number for line, number in true.items() if line[0] < top}
            assert lines <= true, f"too often: {lines - true}"
            assert below.items() <= lines.items(), f"left out: {Counter(below) - lines}"

    def _get(self, what: str, **query: str) -> Any:
        """A document, asked for again when it was the platform or the database that failed."""
        url = f"/api/wallets/{self.wallet_id}{what}"
        for _ in range(MOST_TRIES):
            begin = time.monotonic()
            answer = self.site.client.get(url, params=query)
            if answer.status_code == 200:
                return answer.json()
            self.site.excuse(answer, begin)
            time.sleep(0.2)  # noqa: TID251 - a person's patience
        raise AssertionError(answer.text)


def _by_stream(moves: Counter[Move]) -> dict[str, Counter[Line]]:
    found: dict[str, Counter[Line]] = {}
    for move, number in moves.items():
        found.setdefault(move.stream, Counter())[line_of(move)] += number
    return found
