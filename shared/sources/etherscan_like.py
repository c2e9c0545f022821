"""The client that Etherscan, Blockscout and Routescan share: one API, three accents.

Answer forms: reference/providers.md 3.1 and 3.2. Only a positive "nothing found" is empty.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import msgspec

from shared.clock import Deadline
from shared.errors import (
    SourceDeniedError,
    SourceError,
    SourceNotReadyError,
    SourcePayloadError,
    SourceUnavailableError,
    SourceUnsupportedError,
)
from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import Answer, FeedRef, Limits, RangeQuery, Row
from shared.sources.catalog import ProviderInfo, chain_info
from shared.sources.etherscan_fields import (
    HIGHEST_BLOCK,
    BadFieldError,
    digest,
    shortened,
)
from shared.sources.etherscan_refusals import (
    EMPTY,
    Speaker,
    UnknownActionError,
    known_refusal,
    refusal,
)
from shared.sources.etherscan_rows import FEEDS, Account, Feed, Tokens
from shared.sources.etherscan_wire import Envelope, Page, decoded

T = TypeVar("T")

PLACEHOLDER = "{chain_id}"
HEX_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,16}")


class Reply(NamedTuple):
    """A whole HTTP answer; ``action`` names what was asked in messages."""

    action: str
    status: int
    body: bytes


class EtherscanLike:
    """A ``Source`` over one provider of the table."""

    def __init__(self, provider: ProviderInfo, http: Http, options: SourceOptions) -> None:
        self.key = provider.key
        self._provider = provider
        self._http = http
        self._options = options
        key = options.api_key
        self._api_key = key if key is not None and key.get_secret_value() else None
        self._speaker = Speaker(provider.key, provider.key_variable(), self._api_key)

    def limits(self, chain_id: int) -> Limits:
        """See ``Source.limits``; what the operator set goes before the table."""
        provider, options = self._provider, self._options
        if chain_id not in provider.chains:
            detail = f"does not serve chain {chain_id}"
            raise SourceUnsupportedError(self.key, detail)
        return Limits(
            options.page_rows or provider.page_rows,
            provider.window_rows,
            options.calls_per_s or provider.calls_per_s,
            max(chain_info(chain_id).settle_depth, provider.chains[chain_id].index_lag_blocks),
        )

    def head(self, chain_id: int, deadline: Deadline) -> int:
        """See ``Source.head``."""
        asked = {"module": "proxy", "action": "eth_blockNumber"}
        return self._block_number(self._ask(chain_id, asked, deadline))

    def block_hash(self, chain_id: int, block: int, deadline: Deadline) -> bytes | None:
        """See ``Source.block_hash``; None also where the provider has no such action."""
        asked = {
            "module": "proxy",
            "action": "eth_getBlockByNumber",
            "tag": hex(block),
            "boolean": "false",
        }
        reply = self._ask(chain_id, asked, deadline)
        try:
            found = self._proxied(reply).result
        except UnknownActionError:
            return None
        if found is None:
            return None
        if not isinstance(found, dict):
            raise refusal(self._speaker, found)
        return self._checked_hash(block, found.get("number"), found.get("hash"), reply.action)

    def fetch(self, feed: FeedRef, query: RangeQuery, deadline: Deadline) -> Answer:
        """See ``Source.fetch``."""
        chain_id = feed.chain_id
        if feed.kind not in self._provider.kinds_on(chain_id):
            detail = f"does not serve {feed.kind.value} on chain {chain_id}"
            raise SourceUnsupportedError(self.key, detail)
        wanted = FEEDS[feed.kind]
        asked = {
            "module": "account",
            "action": wanted.action,
            "address": feed.account,
            "startblock": query.lo,
            "endblock": query.hi,
            "page": query.page,
            "offset": query.rows,
            "sort": "desc" if query.descending else "asc",
        }
        found = self._rows(self._ask(chain_id, asked, deadline), wanted)
        account = Account(
            chain_info(chain_id),
            bytes.fromhex(feed.account.removeprefix("0x")),
            self._provider.flat_traces,
        )
        return self._answer(found, wanted, account, query)

    def _ask(self, chain_id: int, asked: Mapping[str, Any], deadline: Deadline) -> Reply:
        """One request to the API of one chain."""
        if chain_id not in self._provider.chains:
            detail = f"does not serve chain {chain_id}"
            raise SourceUnsupportedError(self.key, detail)
        url, names_chain = self._url(chain_id)
        params = dict(asked)
        if not names_chain or self._options.base_url:
            params[self._provider.chain_param] = chain_id
        return self._get(url, params, deadline, str(asked["action"]))

    def _get(self, url: str, params: dict[str, Any], deadline: Deadline, action: str) -> Reply:
        """One GET with our key; a failing server is told from a refusing one here."""
        if self._api_key is not None:
            params["apikey"] = self._api_key
        answer = self._http.get(self.key, url, params=params, deadline=deadline)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            detail = f"{action} answered HTTP {answer.status}"
            raise SourceUnavailableError(self.key, detail)
        return Reply(action, answer.status, answer.body)

    def _url(self, chain_id: int) -> tuple[str, bool]:
        """The URL of a chain's API, and whether it names the chain by itself."""
        host = self._provider.chains[chain_id].host
        if self._options.base_url:
            url = self._options.base_url
        elif host and self._api_key is None:
            return host, True
        else:
            url = self._provider.base_url
        return url.replace(PLACEHOLDER, str(chain_id)), PLACEHOLDER in url

    def _rows(self, reply: Reply, wanted: Feed) -> list[Any]:
        """The rows of an answer, when it is one."""
        try:
            page = decoded(reply.body, Page[wanted.rows])  # type: ignore[name-defined]
        except msgspec.ValidationError as exc:
            envelope = self._envelope(reply)
            if str(envelope.status) == "1" and isinstance(envelope.result, list):
                detail = f"{reply.action}: {exc}"
                raise SourcePayloadError(self.key, detail) from None
            raise self._refused(reply, envelope) from None
        except msgspec.DecodeError:
            raise self._unreadable(reply) from None
        status = str(page.status)
        is_empty = status == "0" and not page.result and EMPTY.fullmatch(str(page.message))
        if reply.status == HTTPStatus.OK and (status == "1" or is_empty):
            rows: list[Any] = page.result
            return rows
        raise self._refused(reply, Envelope(page.status, page.message))

    def _answer(
        self, found: list[Any], wanted: Feed, account: Account, query: RangeQuery
    ) -> Answer:
        """The meaning of the rows, when they are what was asked for."""
        tokens: Tokens = {}
        try:
            rows = [wanted.read(row, account, tokens) for row in found]
            _check_window(rows, query)
        except BadFieldError as exc:
            detail = f"{wanted.action}: {exc}"
            raise SourcePayloadError(self.key, detail) from None
        return Answer(rows, tokens)

    def _envelope(self, reply: Reply) -> Envelope:
        """What stands around an answer."""
        return self._decoded(reply, Envelope)

    def _decoded(self, reply: Reply, shape: type[T]) -> T:
        """An answer as ``shape``."""
        try:
            return decoded(reply.body, shape)
        except msgspec.ValidationError as exc:
            detail = f"{reply.action}: {exc}"
            raise SourcePayloadError(self.key, detail) from None
        except msgspec.DecodeError:
            raise self._unreadable(reply) from None

    def _refused(self, reply: Reply, envelope: Envelope) -> SourceError:
        """The error that an answer without data is."""
        texts = _texts(envelope)
        if str(envelope.status) == "2":
            return SourceNotReadyError(self.key, self._speaker.quoted(str(envelope.message)))
        if reply.status == HTTPStatus.OK:
            return refusal(self._speaker, *texts)
        known = known_refusal(self._speaker, *texts)
        if known is not None:
            return known
        return self._unreadable(reply)

    def _unreadable(self, reply: Reply) -> SourceError:
        """The error that a page, a cut answer or a bare HTTP status is."""
        if reply.status == HTTPStatus.UNAUTHORIZED:
            fix = f"Set {self._speaker.key_variable} to a valid key of this provider."
            return SourceDeniedError(self.key, "refused our API key (HTTP 401)", fix=fix)
        is_page = reply.body.lstrip()[:1] == b"<"
        what = "a web page" if is_page else "something that is no whole JSON"
        detail = f"{reply.action} answered HTTP {reply.status} with {what}"
        return SourceUnavailableError(self.key, detail)

    def _proxied(self, reply: Reply) -> Envelope:
        """An answer in JSON-RPC form: those have no status, the API's errors around them have."""
        envelope = self._envelope(reply)
        is_refused = envelope.error is not None or str(envelope.status) in {"0", "2"}
        if reply.status != HTTPStatus.OK or is_refused:
            raise self._refused(reply, envelope)
        return envelope

    def _block_number(self, reply: Reply) -> int:
        """The number in an answer to eth_blockNumber."""
        envelope = self._proxied(reply)
        number = envelope.result
        if isinstance(number, str) and HEX_NUMBER.fullmatch(number):
            block = int(number, 16)
            if 0 < block <= HIGHEST_BLOCK:
                return block
        raise refusal(self._speaker, *_texts(envelope), f"the head is {shortened(number)}")

    def _checked_hash(self, block: int, number: object, hashed: Any, action: str) -> bytes:
        """The hash of a block, when the answer is about this block."""
        if str(number).lower() not in {hex(block), str(block), "none"}:
            detail = f"{action}: block {block} was asked for, {shortened(number)} came"
            raise SourcePayloadError(self.key, detail)
        try:
            return digest("hash", hashed)
        except BadFieldError as exc:
            detail = f"{action}: {exc}"
            raise SourcePayloadError(self.key, detail) from None


def _texts(envelope: Envelope) -> list[object]:
    """Where a provider says what is wrong: in the error object, the result, or the message."""
    error = envelope.error
    said = error.get("message") if isinstance(error, dict) else error
    result = envelope.result if isinstance(envelope.result, str) else None
    return [said, result, envelope.message]


def _check_window(rows: list[Row], query: RangeQuery) -> None:
    """Refuse rows that were not asked for, or not in this order: some came for another question."""
    if len(rows) > query.rows:
        what = f"{query.rows} rows were asked for, the number that came"
        raise BadFieldError(what, len(rows))
    last = query.hi if query.descending else query.lo
    for row in rows:
        if not query.lo <= row.block <= query.hi:
            what = f"blocks {query.lo} to {query.hi} were asked for, a row's blockNumber"
            raise BadFieldError(what, row.block)
        if row.block > last if query.descending else row.block < last:
            what = f"the rows are not in the order asked for, a row's blockNumber after {last}"
            raise BadFieldError(what, row.block)
        last = row.block
