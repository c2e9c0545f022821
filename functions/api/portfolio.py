"""Portfolio: what wallets hold, and how it came about."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, Field

from functions.api.wallets import WalletId, wallet_for
from functions.deps import OwnerDep, RuntimeDep
from functions.openapi import answers, json_answer
from schema.queries.history import OfWallet
from schema.types import MovementKind
from shared.errors import InvalidInputError
from shared.portfolio.balances import BalanceLine, balance_page
from shared.portfolio.history import (
    AssetChoice,
    HistoryFilter,
    HistoryLine,
    HistoryPage,
    history_page,
)
from shared.portfolio.valuation import valued
from shared.sync.progress import overall, progress

router = APIRouter(tags=["portfolio"])

NATIVE = "native"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
# With the longest names, amounts and prices a line has 1,360 bytes; an answer may have 4.5 MB on
# Vercel: https://vercel.com/docs/functions/limitations
MOST_BALANCES = 3_000
Chain = Annotated[int | None, Field(ge=1, le=2**63 - 1, examples=[1])]
Moment = Annotated[AwareDatetime | None, Field(ge=EARLIEST, le=LATEST)]
KindName = Literal[
    "transfer", "fee", "internal", "erc20", "erc721", "erc1155", "withdrawal", "genesis"
]


class BalanceList(msgspec.Struct, frozen=True):
    """Some balances of a wallet, and the cursor to the next ones; null at the end.

    They are whole once ``state`` is up_to_date.
    """

    state: str
    items: list[BalanceLine]
    next_cursor: str | None


MODELS = (BalanceList, HistoryPage)
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
BALANCES = BalanceList(
    "up_to_date",
    [
        BalanceLine(
            chain_id=1,
            contract=None,
            symbol="ETH",
            name="Ether",
            decimals=18,
            token_id=None,
            amount_raw="1520000000000000000",
            gaps=[],
            price="2335.266275905969",
            value="3549.60473937707288",
            price_at=datetime(2026, 4, 15, 12, 17, 8, tzinfo=UTC),
            stale=False,
        ),
        BalanceLine(1, USDC, "USDC", "USD Coin", 6, None, "25000000", []),
    ],
    next_cursor=None,
)
HISTORY = HistoryPage(
    items=[
        HistoryLine(
            chain_id=1,
            block=18_000_000,
            at=datetime(2023, 8, 26, 16, 21, 35, tzinfo=UTC),
            tx_hash="0x" + "ab" * 32,
            kind="erc20",
            direction="out",
            counterparty="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            contract=USDC,
            symbol="USDC",
            decimals=6,
            token_id=None,
            amount_raw="-25000000",
        )
    ],
    next_cursor=None,
)


class HistoryQuery(BaseModel):
    """What a query asks for."""

    chain: Chain = None
    asset: str | None = Field(
        None, pattern=r"^(native|0x[0-9a-fA-F]{40})$", description="native, or 0x.."
    )
    token_id: str | None = Field(None, pattern=r"^[0-9]{1,78}$")
    kind: KindName | None = None
    direction: Literal["in", "out"] | None = None
    since: Moment = Field(None, alias="from", description="Included.")
    until: Moment = Field(None, alias="to", description="Not included.")
    limit: int = Field(100, ge=1, le=500)
    cursor: str | None = Field(None, max_length=20_000)

    def filter(self) -> HistoryFilter:
        """Its filter.

        Raises:
            InvalidInputError: A token id without its contract.
        """
        choice = None
        if self.asset is not None:
            named = self.asset != NATIVE
            contract = bytes.fromhex(self.asset.removeprefix("0x")) if named else None
            choice = AssetChoice(contract, None if self.token_id is None else int(self.token_id))
        if self.token_id is not None and (choice is None or choice.contract is None):
            detail = "token_id: give the contract as asset as well"
            raise InvalidInputError(detail)
        return HistoryFilter(
            asset=choice,
            kind=None if self.kind is None else MovementKind[self.kind.upper()],
            direction=self.direction,
            since=None if self.since is None else self.since.astimezone(UTC),
            until=None if self.until is None else self.until.astimezone(UTC),
        )


@router.get(
    "/wallets/{wallet_id}/balances",
    operation_id="getBalances",
    responses=answers(BalanceList, description="Exact balances.", example=BALANCES),
)
def get_balances(
    owner: OwnerDep,
    runtime: RuntimeDep,
    wallet_id: WalletId,
    chain: Chain = None,
    zeros: Annotated[bool, Query(description="Also assets that are all gone.")] = False,
    limit: Annotated[
        int,
        Query(
            ge=1,
            le=MOST_BALANCES,
            description="So many of the longest lines still fit into an answer of 4.5 MB.",
        ),
    ] = 1_000,
    cursor: Annotated[str | None, Query(max_length=1_000)] = None,
) -> Response:
    """The sums of all movements so far, each with what its feeds cannot know.

    By chain, the native coin first, then by contract and token id. An answer is of one provider's
    reading. Over several pages each asset comes once at most, and one that is held all along comes.
    """
    wallet = wallet_for(runtime, owner, wallet_id)
    chain_ids = [chain_id for chain_id in wallet.chain_ids if chain in {None, chain_id}]
    # Progress first: what is said to be up to date was so before the balances were read.
    streams = progress(runtime.engine, address_id=wallet.address_id, chain_ids=chain_ids)
    page = balance_page(
        runtime.engine,
        address_id=wallet.address_id,
        chain_ids=chain_ids,
        with_zeros=zeros,
        limit=limit,
        cursor=cursor,
    )
    priced = valued(
        runtime.engine,
        page.items,
        address_id=wallet.address_id,
        chain_ids=chain_ids,
        freshness=runtime.freshness,
    )
    return json_answer(BalanceList(overall(streams), priced, page.next_cursor))


@router.get(
    "/wallets/{wallet_id}/history",
    operation_id="getHistory",
    responses=answers(HistoryPage, description="A page, newest first.", example=HISTORY),
)
def get_history(
    owner: OwnerDep,
    runtime: RuntimeDep,
    wallet_id: WalletId,
    query: Annotated[HistoryQuery, Query()],
) -> Response:
    """All movements on all chains; what arrives while paging never disturbs it."""
    page = history_page(
        runtime.engine,
        OfWallet(owner, wallet_id, query.chain),
        wanted=query.filter(),
        limit=query.limit,
        cursor=query.cursor,
    )
    if not page.items:
        wallet_for(runtime, owner, wallet_id)  # or is there no such wallet?
    return json_answer(page)
