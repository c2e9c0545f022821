"""A local Etherscan-like provider: from a request to the answer that a real one would give."""

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from shared.emulator import dialect as say
from shared.emulator.dialect import WINDOW_ROWS, Dialect, number_of
from shared.emulator.events import ACTIONS
from shared.emulator.store import Feed, RowStore
from shared.emulator.wire import ETHERSCAN, WireRow

LAST_BLOCK = 2**63  # a request without endblock has no upper end; Arbitrum is beyond 99999999
RETRY_AFTER_S = 1
JSON_HEADERS = {"content-type": "application/json; charset=utf-8"}
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")


class Reply(NamedTuple):
    """An HTTP answer after ``delay_s``; ``dropped``: the connection dies in its middle."""

    status: int
    headers: dict[str, str]
    body: bytes
    delay_s: float = 0.0
    dropped: bool = False


class Asked(NamedTuple):
    """A request that has been understood."""

    dialect: Dialect
    chain_id: int
    module: str
    action: str
    params: dict[str, str]


class Window(NamedTuple):
    """The cut of a feed that was asked for."""

    lo: int
    hi: int
    page: int
    rows: int
    descending: bool


@dataclass(slots=True)
class View:
    """What a fault does to the rows before they are cut into pages and sent."""

    hides: Callable[[Feed, WireRow], bool] | None = None
    reorder: Callable[[list[WireRow]], list[WireRow]] | None = None
    most_rows: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """The set-up: ``page_cap`` overrides the provider's own, ``key`` makes Etherscan ask for it."""

    page_cap: int | None = None
    calls_per_s: float = 0.0
    key: str | None = None
    daily_calls: int = 0


@dataclass(slots=True)
class EtherscanLike:
    """Answers in the three providers' dialects over one store."""

    store: RowStore
    options: ProviderOptions = ProviderOptions()
    calls: Counter[str] = field(default_factory=Counter)
    _recent: dict[str, deque[float]] = field(default_factory=dict)

    def answer(
        self, path: str, params: Mapping[str, str], now_s: float, view: View | None = None
    ) -> Reply:
        """Answer one GET request; ``now_s`` serves the rate limit only."""
        lowered = {key.lower(): value for key, value in params.items()}
        target = say.addressed(path, lowered)
        if target is None:
            return Reply(404, {"content-type": "text/plain"}, b"404 page not found\n")
        dialect, chain_id = target
        action = lowered.get("action", "")
        self.calls[action] += 1
        if self._too_fast(dialect.key, now_s):
            return self.rate_limited(dialect)
        refused = self._refused(dialect, chain_id, lowered)
        if refused is not None:
            return encoded(refused)
        asked = Asked(dialect, chain_id or 0, lowered.get("module", ""), action, lowered)
        if asked.module == "proxy":
            return encoded(self._proxy(asked))
        if asked.module != "account":
            return encoded(dialect.error(say.BAD_MODULE_TEXT))
        return encoded(self._account(asked, view or View()))

    def rate_limited(self, dialect: Dialect) -> Reply:
        """The provider's way to say that we call too often."""
        if dialect.key == ETHERSCAN:
            rate = f"{self.options.calls_per_s or 3:g}"
            return encoded(dialect.error(f"Max calls per sec rate limit reached ({rate}/sec)"))
        headers = {**JSON_HEADERS, "retry-after": str(RETRY_AFTER_S)}
        return Reply(429, headers, b'{"message":"Too many requests","result":null,"status":"0"}')

    def _too_fast(self, key: str, now_s: float) -> bool:
        rate = self.options.calls_per_s
        if rate <= 0:
            return False
        recent = self._recent.setdefault(key, deque())
        while recent and recent[0] <= now_s - 1.0:
            recent.popleft()
        if len(recent) >= rate:
            return True
        recent.append(now_s)
        return False

    def _refused(
        self, dialect: Dialect, chain_id: int | None, params: dict[str, str]
    ) -> dict[str, Any] | None:
        if self.options.key is not None and dialect.key == ETHERSCAN:
            given = params.get("apikey", "")
            if not given:
                return dialect.error("Missing/Invalid API Key")
            if given != self.options.key:
                return dialect.error("Invalid API Key (#err2)|")
        if chain_id is not None and chain_id in self.store.chains(dialect.key):
            return None
        text = None if chain_id is None else self.store.refusal(dialect.key, chain_id)
        return dialect.unknown_chain() if text is None else dialect.error(text)

    def _proxy(self, asked: Asked) -> dict[str, Any]:
        head = self.store.head(asked.chain_id)
        if asked.action == "eth_blockNumber":
            return {"jsonrpc": "2.0", "id": 83, "result": hex(head)}
        if asked.action != "eth_getBlockByNumber":
            return asked.dialect.error(say.BAD_ACTION_TEXT)
        tag = asked.params.get("tag", "")
        try:
            block = head if tag in {"latest", "safe", "finalized"} else int(tag, 16)
        except ValueError:
            problem = {
                "code": -32602,
                "message": "invalid argument 0: hex string without 0x prefix",
            }
            return {"jsonrpc": "2.0", "id": 1, "error": problem}
        header = self.store.header(asked.chain_id, block)
        found: dict[str, Any] | None = None
        if header is not None:
            found = {
                "hash": header.hash,
                "number": hex(block),
                "timestamp": hex(header.time_s),
                "transactions": [],
            }
        return {"jsonrpc": "2.0", "id": 1, "result": found}

    def _account(self, asked: Asked, view: View) -> dict[str, Any]:
        dialect = asked.dialect
        if asked.action not in ACTIONS:
            return dialect.error(say.BAD_ACTION_TEXT)
        account = asked.params.get("address", "").lower()
        if not _ADDRESS.fullmatch(account):
            return dialect.error(say.BAD_ADDRESS_TEXT)
        window = self._window(asked)
        if window is None:
            return dialect.error(say.BAD_NUMBER_TEXT)
        if window.page * window.rows > WINDOW_ROWS:
            return dialect.envelope("0", say.WINDOW_TEXT, None)
        cap = min(window.rows, self.options.page_cap or dialect.page_cap)
        feed = Feed(dialect.key, asked.chain_id, account, asked.action)
        rows = self._cut(feed, window._replace(rows=cap), view)
        if not rows:
            return dialect.empty(asked.action)
        return dialect.envelope("1", "OK", rows)

    def _window(self, asked: Asked) -> Window | None:
        cap = self.options.page_cap or asked.dialect.page_cap
        defaults = {"startblock": 0, "endblock": LAST_BLOCK, "page": 1, "offset": cap}
        numbers: dict[str, int] = {}
        for name, default in defaults.items():
            text = asked.params.get(name, "")
            number = number_of(text) if text else default
            if number is None:
                return None
            numbers[name] = number
        order = asked.params.get("sort", "").lower()
        descending = order == "desc" if order else asked.dialect.descending
        page, rows = max(1, numbers["page"]), numbers["offset"] or cap
        return Window(numbers["startblock"], numbers["endblock"], page, rows, descending)

    def _cut(self, feed: Feed, window: Window, view: View) -> list[WireRow]:
        source = self.store.rows(feed)
        start, stop = source.between(window.lo, window.hi)
        skip = (window.page - 1) * window.rows
        if view.hides is None:
            if window.descending:
                stop -= skip
                cut = source.wire(max(start, stop - window.rows), max(start, stop))[::-1]
            else:
                start += skip
                cut = source.wire(start, min(stop, start + window.rows))
        else:
            seen = [row for row in source.wire(start, stop) if not view.hides(feed, row)]
            ordered = seen[::-1] if window.descending else seen
            cut = ordered[skip : skip + window.rows]
        head = self.store.head(feed.chain_id)
        rows = [_confirmed(row, head) for row in cut]
        if view.reorder is not None:
            rows = view.reorder(rows)
        return rows if view.most_rows is None else rows[: view.most_rows]


def encoded(document: dict[str, Any]) -> Reply:
    """A JSON answer with status 200; a lone surrogate goes out as its escape."""
    try:
        body = msgspec.json.encode(document)
    except UnicodeEncodeError:
        body = json.dumps(document, separators=(",", ":")).encode()
    return Reply(200, dict(JSON_HEADERS), body)


def _confirmed(row: WireRow, head: int) -> WireRow:
    if "confirmations" not in row:
        return row
    count = head - int(row["blockNumber"]) + 1
    return {**row, "confirmations": str(max(1, count))}
