"""Prices of what an owner holds."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from functions.deps import OwnerDep, RuntimeDep
from functions.openapi import answers, json_answer
from shared.prices.lookup import PriceLine, PricePage, price_page

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
    ),
)
def list_prices(
    owner: OwnerDep,
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str, Query(pattern=r"^[0-9]{1,9}$")] = "0",
) -> Response:
    """Every coin and token held now, once; a missing price is null, never zero."""
    page = price_page(
        runtime.engine, owner, after_id=int(cursor), limit=limit, freshness=runtime.freshness
    )
    return json_answer(page)
