"""What the providers of prices share: one GET, its refusals, and what a believable price is."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from shared.clock import Deadline
from shared.errors import (
    SourceDeniedError,
    SourcePayloadError,
    SourceRateLimitedError,
    SourceUnavailableError,
    SourceUnsupportedError,
)
from shared.http import Http, HttpResponse
from shared.settings import SourceOptions
from shared.sources.base import PricedAsset
from shared.sources.quote_catalog import QuoteProvider

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

# A share of a pool with a tiny supply is worth millions (recorded: 13,146,300); beyond is nonsense.
LOWEST_USD = Decimal("1e-30")
HIGHEST_USD = Decimal("1e15")
MOST_DIGITS = 60
FIRST_S, LAST_S = 1_230_768_000, 4_102_444_800  # 2009, 2100: a time in milliseconds is beyond
MAX_BYTES = 4 * 1024 * 1024
BANNED_S = 120.0
I_AM_A_TEAPOT = 418
TEXT_CHARS = 160
DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class QuoteClient:
    """Asks one provider; what it answers is decoded, or a ``SourceError``."""

    def __init__(self, provider: QuoteProvider, http: Http, options: SourceOptions) -> None:
        key = options.api_key
        self.api_key = key if key is not None and key.get_secret_value() else None
        self.provider = provider
        self.base_url = (options.base_url or provider.base_url).rstrip("/")
        # Set by the operator, in the same variable as the rows of a page of chain data.
        keyed = provider.batch if self.api_key is not None else provider.keyless_batch
        self.batch = options.page_rows or keyed
        self._http = http

    def get(self, path: str, params: Mapping[str, Any], deadline: Deadline, shape: type[T]) -> T:
        """One GET below the provider's URL, decoded as ``shape``."""
        key = self.provider.key
        url = f"{self.base_url}/{path}"
        answer = self._http.get(key, url, params=params, deadline=deadline, max_bytes=MAX_BYTES)
        if answer.status != HTTPStatus.OK:
            self._refuse(answer)
        try:
            return msgspec.json.decode(answer.body, type=shape)
        except msgspec.ValidationError as exc:
            raise SourcePayloadError(key, str(exc)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            is_page = answer.body.lstrip()[:1] == b"<"
            what = "a web page" if is_page else "something that is no whole JSON"
            detail = f"answered HTTP {answer.status} with {what}"
            raise SourceUnavailableError(key, detail) from None

    def _refuse(self, answer: HttpResponse) -> None:
        """Raise what an answer means that is no data."""
        key, status = self.provider.key, answer.status
        detail = f"answered HTTP {status}: {self._quoted(answer.body)}"
        if status == I_AM_A_TEAPOT:  # Binance: an address that went on after a 429
            asked = answer.headers.get("retry-after", "")
            wait_s = float(asked) if asked.isdecimal() else BANNED_S
            raise SourceRateLimitedError(key, "banned for a while (HTTP 418)", retry_after_s=wait_s)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SourceUnavailableError(key, detail)
        if status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
            fix = f"Run elsewhere, or set SOURCE__{key.upper()}__BASE_URL to a host that answers."
            raise SourceUnsupportedError(key, detail, fix=fix)
        if status in DENIED:
            fix = f"Set or renew SOURCE__{key.upper()}__API_KEY."
            raise SourceDeniedError(key, detail, fix=fix)
        raise SourcePayloadError(key, detail)

    def _quoted(self, body: bytes) -> str:
        """A provider's words, printable, short and without our key."""
        text = body[: 4 * TEXT_CHARS].decode("utf-8", errors="replace")
        if self.api_key is not None:
            text = text.replace(self.api_key.get_secret_value(), "***")
        plain = "".join(char if char.isprintable() else " " for char in text)
        return " ".join(plain.split())[:TEXT_CHARS] or "nothing"


def believable(price: Decimal | None) -> Decimal | None:
    """The price, when it can be one: finite, above zero, neither absurd nor endless."""
    if price is None or not price.is_finite() or len(price.as_tuple().digits) > MOST_DIGITS:
        return None
    return price if LOWEST_USD <= price <= HIGHEST_USD else None


def moment(at_s: int | None) -> datetime | None:
    """The provider's own time, when it can be one."""
    if at_s is None or not FIRST_S <= at_s <= LAST_S:
        return None
    return datetime.fromtimestamp(at_s, UTC)


def by_name(named: Iterable[tuple[K, PricedAsset]]) -> dict[K, list[PricedAsset]]:
    """The assets under the provider's name for each: Ether is one coin on many chains."""
    found: dict[K, list[PricedAsset]] = {}
    for name, asset in named:
        found.setdefault(name, []).append(asset)
    return found


def cut(named: Mapping[K, list[PricedAsset]], names_at_once: int) -> Iterator[list[PricedAsset]]:
    """Batches of at most so many names; none when that is zero."""
    groups: Sequence[list[PricedAsset]] = list(named.values())
    for start in range(0, len(groups) if names_at_once else 0, max(1, names_at_once)):
        yield [asset for group in groups[start : start + names_at_once] for asset in group]
