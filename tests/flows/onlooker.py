"""Somebody who reads a wallet over HTTP again and again, and knows what each answer may say."""

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Collection
from typing import Any, NamedTuple
from urllib.parse import urlencode

from shared.emulator.truth import Move
from shared.emulator.world import World
from tests import truth
from tests.flows.scene import CHAIN, until

GENESIS_HASH_BYTES = 20

Line = tuple[int, str | None, str, str | None, str | None, str | None, str]


class Telling(NamedTuple):
    """All that may be told of a wallet by one provider at one time."""

    balances: dict[tuple[str | None, str | None], str]
    lines: Counter[Line]


def telling(world: World, wallet: bytes, kinds: Collection[str]) -> Telling:
    """What the oracle knows now of those feeds, in the words of the API."""
    moves = truth.true_movements(world, wallet, CHAIN, kinds)
    held = truth.true_balances(moves).items()
    return Telling(
        {(_hex(contract), _text(token)): str(amount) for (contract, token), amount in held},
        Counter({line_of(move): count for move, count in moves.items()}),
    )


class Onlooker:
    """Reads from a thread of its own until told to stop; what is wrong is raised then."""

    def __init__(self, base: str, old: Telling, new: Telling) -> None:
        assert old.balances != new.balances
        assert old.lines != new.lines
        self._base = base
        self._old, self._new = old, new
        self._stopped = threading.Event()
        self._wrong: list[BaseException] = []
        self._thread = threading.Thread(target=self._look)
        self._wallet = self._get("")[1]["items"][0]["id"]
        self._changed = False
        self.walks: Counter[str] = Counter()

    def __enter__(self) -> "Onlooker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self._wrong:
            raise self._wrong[0]

    def sees(self, what: str) -> None:
        """Wait until one more walk through the history ended so."""
        before = self.walks[what]
        until(lambda: self._wrong or self.walks[what] > before)

    def page(self, cursor: str | None) -> tuple[int, Any]:
        """A page of the history: the status, and the document."""
        query = {"limit": "500"} if cursor is None else {"limit": "500", "cursor": cursor}
        return self._get(f"/{self._wallet}/history?{urlencode(query)}")

    def _look(self) -> None:
        try:
            while not self._stopped.is_set():
                ended = self._walk()
                self.walks[ended] += 1
                assert not (self._changed and ended == "old"), "the old history came back"
        except BaseException as exc:  # noqa: BLE001 - raised where the test waits
            self._wrong.append(exc)

    def _look_at_balances(self) -> None:
        """The balances of one generation; the new one, once seen, is never gone again."""
        status, found = self._get(f"/{self._wallet}/balances")
        assert status == 200
        assert found["state"] == "up_to_date"
        told = {
            (_lower(item["contract"]), item["token_id"]): item["amount_raw"]
            for item in found["items"]
        }
        whose = self._one_of({"old": told == self._old.balances, "new": told == self._new.balances})
        assert not (self._changed and whose == "old"), "the old balances came back"
        self._changed = whose == "new"

    def _walk(self) -> str:
        """Follow the cursor from the newest movement to the oldest."""
        lines: list[Line] = []
        cursor = None
        while True:
            self._look_at_balances()
            status, page = self.page(cursor)
            if status != 200:
                assert page["code"] == "invalid_cursor", page
                self._assert_beginning(lines)
                return "refused"
            lines += [as_told(item) for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        blocks = [line[0] for line in lines]
        assert blocks == sorted(blocks, reverse=True)
        told = Counter(lines)
        return self._one_of({"old": told == self._old.lines, "new": told == self._new.lines})

    def _assert_beginning(self, lines: list[Line]) -> None:
        """What was read until the cursor was refused is the old history down to some block."""
        told, last = Counter(lines), lines[-1][0]
        assert told <= self._old.lines
        assert all(told[line] == count for line, count in self._old.lines.items() if line[0] > last)

    def _one_of(self, found: dict[str, bool]) -> str:
        matching = [name for name, equal in found.items() if equal]
        assert matching, "an answer of neither generation"
        return matching[0]

    def _get(self, path: str) -> tuple[int, Any]:
        try:
            url = f"{self._base}/api/wallets{path}"
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own server
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)


def line_of(move: Move) -> Line:
    genesis = "GENESIS_" if len(move.tx_hash) == GENESIS_HASH_BYTES else "0x"
    return (
        move.block,
        genesis + move.tx_hash.hex() if move.tx_hash else None,
        move.kind.lower(),
        _hex(move.contract),
        _text(move.token_id),
        _hex(move.counterparty),
        str(move.amount),
    )


def as_told(item: dict[str, Any]) -> Line:
    return (
        item["block"],
        item["tx_hash"],
        item["kind"],
        _lower(item["contract"]),
        item["token_id"],
        _lower(item["counterparty"]),
        item["amount_raw"],
    )


def _hex(account: bytes | None) -> str | None:
    return None if account is None else "0x" + account.hex()


def _lower(account: str | None) -> str | None:
    return None if account is None else account.lower()


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
