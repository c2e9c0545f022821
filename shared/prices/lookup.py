"""Prices as they are shown: with source, time and age, and never as fresh when they are old."""

from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine

from schema.engine import reading
from schema.queries import price_view
from schema.queries.price_view import HeldPrice, PriceRow
from schema.types import PriceState
from shared.address import checksum_address
from shared.money import plain
from shared.sources.registry import chain_info, priced_chains


class Freshness(NamedTuple):
    """The present moment, and from what age on a price is stale."""

    now: datetime
    stale_after_s: float

    def age_s(self, priced_at: datetime) -> int:
        """Whole seconds since the provider's own time."""
        return max(0, int((self.now - priced_at).total_seconds()))

    def is_stale(self, priced_at: datetime) -> bool:
        """Whether a price of that time must not pass for a fresh one."""
        return self.age_s(priced_at) > self.stale_after_s


class PriceLine(msgspec.Struct, frozen=True):
    """One held asset and its price in US dollars; all of the price is null where there is none.

    ``state``: ``new`` (not asked for yet), ``priced``, ``unknown`` to the providers, or ``spam``
    (given up). ``price_at`` is the provider's own time, ``age_s`` the seconds since. ``flag``:
    ``disagreement`` of two providers, or ``low_confidence`` of its own.
    """

    chain_id: int
    contract: str | None
    symbol: str | None
    state: str
    price_usd: str | None
    source: str | None
    price_at: datetime | None
    age_s: int | None
    stale: bool | None
    confidence: str | None
    flag: str | None


class PricePage(msgspec.Struct, frozen=True):
    """Some of the assets that an owner holds; ``next_cursor`` is null on the last page."""

    items: list[PriceLine]
    next_cursor: str | None


def price_page(
    engine: Engine, owner: str, *, after_id: int, limit: int, freshness: Freshness
) -> PricePage:
    """What an owner's wallets hold, each coin and token once, from the one after ``after_id``."""
    with reading(engine) as connection:
        found = price_view.prices_of_owner(connection, owner, after_id=after_id, most=limit + 1)
    page = found[:limit]
    return PricePage(
        [_line(held, freshness) for held in page],
        str(page[-1].asset_id) if len(found) > limit else None,
    )


def _line(held: HeldPrice, freshness: Freshness) -> PriceLine:
    chain = chain_info(held.chain_id)
    native = held.contract is None
    contract = None if held.contract is None else checksum_address(held.contract)
    # Where no provider prices a chain, nobody will ever ask.
    unseen = PriceState.NEW if held.chain_id in priced_chains() else PriceState.UNKNOWN
    state = held.state or unseen.value
    return PriceLine(
        held.chain_id,
        contract,
        chain.native_symbol if native else held.symbol,
        state,
        *_shown(held.price, freshness),
    )


def _shown(
    price: PriceRow, freshness: Freshness
) -> tuple[
    str | None, str | None, datetime | None, int | None, bool | None, str | None, str | None
]:
    """The last seven fields of a line."""
    if price.price_usd is None or price.priced_at is None or price.confidence is None:
        return None, None, None, None, None, None, None
    at = price.priced_at
    return (
        plain(price.price_usd),
        price.source,
        at,
        freshness.age_s(at),
        freshness.is_stale(at),
        plain(price.confidence),
        price.flag,
    )
