"""The prices of an owner, read anew only when something of them has changed.

A page is kept without the ages, which are told when it is shown: a cache makes no price younger.
"""

import hashlib
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Engine

from schema.engine import reading
from schema.queries import price_view
from shared.prices.lookup import Freshness, PriceLine, PricePage, price_page

if TYPE_CHECKING:
    from shared.cache.fill import Fills

VERSION = 1  # of what a page looks like
KEPT_S = 900.0
# Measured (docs/adr/0007-caches.md): with fewer, the database is as quick as a cache elsewhere.
WORTH_STREAMS = 100
A_MINUTE_S = 60


class OwnedPrices:
    """What an owner holds, with its prices, as of one moment."""

    def __init__(self, engine: Engine, owner: str, freshness: Freshness) -> None:
        self._engine = engine
        self._owner = owner
        self._freshness = freshness
        with reading(engine) as connection:
            self._version = price_view.prices_version(connection, owner)

    @property
    def mark(self) -> str:
        """Another one whenever an answer may differ by more than a minute of age."""
        minute = int(self._freshness.now.timestamp() // A_MINUTE_S)
        parts = (VERSION, self._owner, self._version.text, self._freshness.stale_after_s, minute)
        return _digest(*parts)

    def page(
        self,
        fills: "Fills",
        *,
        after_id: int,
        limit: int,
        worth_streams: int = WORTH_STREAMS,
    ) -> PricePage:
        """One page; see ``price_page``."""

        def build() -> PricePage:
            return price_page(
                self._engine,
                self._owner,
                after_id=after_id,
                limit=limit,
                freshness=self._freshness,
            )

        if not fills.cache.is_near and self._version.streams < worth_streams:
            return build()
        from shared.cache.base import Key  # noqa: PLC0415 - nothing of a cache at a cold start

        state = _digest(self._version.text)
        key = Key("prices", VERSION, (self._owner, state, after_id, limit))
        page = fills.filled(key, PricePage, build, ttl_s=KEPT_S)
        assert page is not None  # noqa: S101 - for the type checker: there is always a page
        items = [self._aged(line) for line in page.items]
        return PricePage(items, page.next_cursor)

    def _aged(self, line: PriceLine) -> PriceLine:
        """The line as of now."""
        at = line.price_at
        if at is None:
            return line
        return msgspec.structs.replace(
            line, age_s=self._freshness.age_s(at), stale=self._freshness.is_stale(at)
        )


def _digest(*parts: object) -> str:
    return hashlib.blake2s(repr(parts).encode(), digest_size=12).hexdigest()
