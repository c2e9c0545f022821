"""A local provider with faults around it, steered while it runs."""

import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from shared.clock import SystemClock
from shared.emulator.dialect import Dialect, addressed
from shared.emulator.faults import Fault, FaultPlan, fault
from shared.emulator.provider import (
    JSON_HEADERS,
    EtherscanLike,
    ProviderOptions,
    Reply,
    View,
    encoded,
)
from shared.emulator.quotes import QuoteDesk
from shared.emulator.store import Feed, RowStore, WorldStore
from shared.emulator.wire import ETHERSCAN, WireRow
from shared.emulator.world import World
from shared.errors import ConfigError

HTML = b"<!DOCTYPE html><html><head><title>%s</title></head><body>cloudflare</body></html>"
UNPROCESSED = "Some internal transactions within this block range have not yet been processed"
TIMEOUT_TEXT = "Query Timeout occured. Please select a smaller result dataset"
NEWEST_BLOCKS = 3


class _Hidden(NamedTuple):
    """A transaction that one feed does not show yet."""

    feed: Feed
    tx_hash: str
    until_head: int
    until_call: int

    def covers(self, feed: Feed, row: WireRow) -> bool:
        """Whether it hides this row."""
        return feed == self.feed and _hash_of(row) == self.tx_hash


class Emulator:
    """Answers requests, spoiled as its plan says; safe to call from several threads."""

    def __init__(
        self,
        store: RowStore,
        *,
        options: ProviderOptions | None = None,
        plan: FaultPlan | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.provider = EtherscanLike(store, options or ProviderOptions())
        self.quotes = QuoteDesk(store, now or SystemClock().now)
        self.plan = plan or FaultPlan()
        self.calls = 0
        self._world: World | None = store.world if isinstance(store, WorldStore) else None
        self._hidden: list[_Hidden] = []
        self._met: dict[str, int] = {}
        self._lock = threading.Lock()

    def answer(self, path: str, params: Mapping[str, str], now_s: float) -> Reply:
        """Answer one GET request with whatever goes wrong on the way."""
        with self._lock:
            self.calls += 1
            drawn = self.plan.draw(self.calls)
            if drawn is not None:
                self._met[drawn.name] = self._met.get(drawn.name, 0) + 1
            quoted = self.quotes.answer(path, params)
            if quoted is not None:
                return quoted if drawn is None else _broken(drawn, quoted) or quoted
            target = addressed(path, {key.lower(): value for key, value in params.items()})
            if drawn is None or target is None:
                return self.provider.answer(path, params, now_s, self._view())
            dialect, chain_id = target
            self._before(drawn, chain_id)
            view = self._view()
            if drawn.name == "shuffled":
                view.reorder = self._shuffled
            if drawn.name in {"late", "late_calls"}:
                view = self._hiding(drawn, view)
            reply = self.provider.answer(path, params, now_s, view)
            return _spoiled(drawn, reply, dialect, self.provider)

    def control(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Obey an order that came over HTTP, and return the stats.

        Orders: ``{"fault": name, "times": n, "amount": x}``, ``{"clear": true}``, and for a world
        ``{"grow": n}`` and ``{"reorg": d}``, each with an optional ``"chain"``.

        Raises:
            ConfigError: The order names nothing that can be done.
        """
        with self._lock:
            chain_id = int(order["chain"]) if "chain" in order else None
            if "fault" in order:
                self.plan.push(
                    fault(str(order["fault"]), order.get("amount")), int(order.get("times", 1))
                )
            elif order.get("clear"):
                self.plan.stop()
            elif self._world is None or not {"grow", "reorg"} & set(order):
                message = 'an order is {"fault": ..}, {"clear": true}, or in a world grow or reorg'
                raise ConfigError(message)
            elif "grow" in order:
                self._world.grow(int(order["grow"]), chain_id)
            else:
                self._world.reorg(int(order["reorg"]), chain_id)
        return self.stats()

    def stats(self) -> dict[str, Any]:
        """Calls by action, faults met, and the head of each chain."""
        store = self.provider.store
        chains = sorted(set(store.chains(ETHERSCAN)))
        return {
            "calls": self.calls,
            "actions": dict(self.provider.calls + self.quotes.calls),
            "faults": dict(self._met),
            "heads": {str(chain_id): store.head(chain_id) for chain_id in chains},
        }

    def _before(self, drawn: Fault, chain_id: int | None) -> None:
        if self._world is None or chain_id not in self._world.chains:
            return
        if drawn.name == "grow":
            self._world.grow(int(drawn.amount), chain_id)
        elif drawn.name == "reorg":
            self._world.reorg(int(drawn.amount), chain_id)

    def _view(self) -> View:
        if self.plan.stopped:
            self._hidden.clear()
        store = self.provider.store
        self._hidden = [
            one
            for one in self._hidden
            if self.calls <= one.until_call and store.head(one.feed.chain_id) < one.until_head
        ]
        return View(hides=self._hides) if self._hidden else View()

    def _hides(self, feed: Feed, row: WireRow) -> bool:
        return any(one.covers(feed, row) for one in self._hidden)

    def _hiding(self, drawn: Fault, view: View) -> View:
        """A view that picks a new transaction as it sees the rows and hides it from now on."""
        by_blocks = drawn.name == "late"
        depth = int(drawn.amount) if by_blocks else NEWEST_BLOCKS
        before, picked = view.hides, False

        def hides(feed: Feed, row: WireRow) -> bool:
            nonlocal picked
            block = int(row["blockNumber"])
            if not picked and block > self.provider.store.head(feed.chain_id) - depth:
                picked = True
                until_head = block + depth if by_blocks else 2**63
                until_call = 2**63 if by_blocks else self.calls + int(drawn.amount) - 1
                self._hidden.append(_Hidden(feed, _hash_of(row), until_head, until_call))
            hidden_before = before is not None and before(feed, row)
            return hidden_before or self._hides(feed, row)

        view.hides = hides
        return view

    def _shuffled(self, rows: list[WireRow]) -> list[WireRow]:
        groups: list[list[WireRow]] = []
        for row in rows:
            if groups and _hash_of(groups[-1][0]) == _hash_of(row):
                groups[-1].append(row)
            else:
                groups.append([row])
        return [row for group in groups for row in self.plan.dice.shuffled(group)]


def _hash_of(row: WireRow) -> str:
    return row.get("hash") or row.get("transactionHash") or row.get("withdrawalIndex") or ""


def _spoiled(drawn: Fault, reply: Reply, dialect: Dialect, provider: EtherscanLike) -> Reply:
    """What is left of a good reply once the fault has met it."""
    return _broken(drawn, reply) or _retold(*drawn, reply, dialect, provider)


def _broken(drawn: Fault, reply: Reply) -> Reply | None:
    """What happens to any answer on its way; None for a fault that tells another story."""
    name, amount = drawn
    cut = int(len(reply.body) * amount)
    if name in {"http_429", "http_500", "http_502", "html_200"}:
        return _failed(name, amount)
    if name == "slow":
        return reply._replace(delay_s=amount)
    if name == "truncated":
        return reply._replace(body=reply.body[:cut])
    if name == "dropped":
        return reply._replace(body=reply.body[:cut], dropped=True)
    return None


def _failed(name: str, amount: float) -> Reply:
    """An answer that never came from the provider's own program."""
    if name == "http_429":
        headers = {**JSON_HEADERS, "retry-after": f"{amount:g}"}
        return Reply(429, headers, b'{"message":"Too many requests"}')
    if name == "http_500":
        return Reply(int(amount), {"content-type": "text/plain"}, b"Internal Server Error")
    return Reply(int(amount), {"content-type": "text/html"}, HTML % b"Bad gateway")


def _retold(
    name: str, amount: float, reply: Reply, dialect: Dialect, provider: EtherscanLike
) -> Reply:
    """Another document in the place of the good one."""
    rate = f"{provider.options.calls_per_s or 3:g}"
    results: dict[str, Any] = {
        "rate_text": f"Max calls per sec rate limit reached ({rate}/sec)",
        "error_list": [],
        "error_text": TIMEOUT_TEXT,
    }
    if name in results:
        return encoded(dialect.envelope("0", "NOTOK", results[name]))
    document = json.loads(reply.body)
    rows = document.get("result")
    if name == "null_result":
        return encoded({**document, "result": None})
    if name in {"status_2", "short_page"} and isinstance(rows, list):
        some = rows[: int(len(rows) * amount)]
        if name == "short_page":
            return encoded({**document, "result": some}) if some else reply
        return encoded(dialect.envelope("2", UNPROCESSED, some))
    return reply
