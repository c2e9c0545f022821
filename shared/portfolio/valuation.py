"""What balances are worth: amount times price, exact, or null where there is no price."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Engine

from schema.engine import reading
from schema.queries import price_view
from schema.queries.price_view import AssetKey, PriceRow
from shared.money import plain, worth
from shared.portfolio.balances import BalanceLine
from shared.prices.lookup import Freshness


def valued(
    engine: Engine,
    lines: Sequence[BalanceLine],
    *,
    address_id: int,
    chain_ids: Collection[int],
    freshness: Freshness,
) -> list[BalanceLine]:
    """The same balances of an address, each with its price and value."""
    with reading(engine) as connection:
        prices = price_view.prices_of_address(connection, address_id, chain_ids)
    return [_valued(line, prices, freshness) for line in lines]


def _valued(
    line: BalanceLine, prices: Mapping[AssetKey, PriceRow], freshness: Freshness
) -> BalanceLine:
    contract = None if line.contract is None else bytes.fromhex(line.contract.removeprefix("0x"))
    price = None if line.token_id is not None else prices.get((line.chain_id, contract))
    if price is None or price.price_usd is None or price.priced_at is None:
        return line
    # Without its decimals nobody knows how many whole coins an amount is.
    known = line.decimals is not None
    return msgspec.structs.replace(
        line,
        price=plain(price.price_usd),
        value=worth(int(line.amount_raw), line.decimals or 0, price.price_usd) if known else None,
        price_at=price.priced_at,
        stale=freshness.is_stale(price.priced_at),
    )
