"""Prices of what an owner holds."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from functions.conditional import caching_headers, is_known, not_modified
from functions.deps import OwnerDep, RuntimeDep
from functions.openapi import answers, json_answer
from shared.prices.cached import OwnedPrices
from shared.prices.lookup import PriceLine, PricePage

router = APIRouter(tags=["prices"])

MODELS = (PricePage,)
EXAMPLE = PricePage(
    items=[
        PriceLine(
            chain_id=1,
            contract=None,
            symbol="ETH",
            state="priced",
            price_usd="2335.266275905969",
            source="defillama",
            price_at=datetime(2026, 4, 15, 12, 17, 8, tzinfo=UTC),
            age_s=312,
            stale=False,
            confidence="0.99",
            flag=None,
        ),
        PriceLine(
            chain_id=10,
            contract="0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
            symbol="JUNK",
            state="unknown",
            price_usd=None,
            source=None,
            price_at=None,
            age_s=None,
            stale=None,
            confidence=None,
            flag=None,
        ),
    ],
    next_cursor=None,
)


@router.get(
    "/prices",
    operation_id="listPrices",
    responses=answers(
        PricePage,
        description="The newest prices, in US dollars.",
        example=EXAMPLE,
        problems=(401, 422, 503),
    )
    | {304: {"description": "As in the answer with this ETag, but for a minute of age."}},
)
def list_prices(
    owner: OwnerDep,
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str, Query(pattern=r"^[0-9]{1,9}$")] = "0",
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Every coin and token held now, once; a missing price is null, never zero."""
    prices = OwnedPrices(runtime.engine, owner, runtime.freshness)
    if is_known(prices.mark, if_none_match):
        return not_modified(prices.mark)
    answer = json_answer(prices.page(runtime.cache, after_id=int(cursor), limit=limit))
    answer.headers.update(caching_headers(prices.mark))
    return answer
