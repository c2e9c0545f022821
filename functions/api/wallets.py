"""Wallets: what is watched."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from functions.deps import OwnerDep, RuntimeDep
from functions.invocation import start_for
from functions.openapi import answers, json_answer
from schema.engine import reading
from schema.queries.wallet import WalletRow, wallet_of, wallets_of
from shared.address import checksum_address, parse_account
from shared.portfolio import cursor as cursors
from shared.portfolio.cursor import Position
from shared.runtime import Runtime
from shared.sync.start import wake
from shared.sync.watch import unwatch, wallet_or_raise, watch

router = APIRouter(tags=["wallets"])

LARGEST_ID = 2**31 - 1
WalletId = Annotated[int, Path(ge=1, le=LARGEST_ID, examples=[7])]


class WalletRequest(BaseModel):
    """An address to watch."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                "chains": [1, 10],
                "label": "savings",
            }
        },
    )

    address: str = Field(max_length=1000, description="0x and 40 digits; EIP-55 is checked.")
    chains: list[int] = Field(min_length=1, max_length=100, description="Chain ids.")
    label: str | None = Field(default=None, max_length=200)
    source: str | None = Field(default=None, max_length=40, description="Default: the chain's.")


class WalletView(msgspec.Struct, frozen=True):
    """A wallet; ``address`` with its checksum."""

    id: int
    address: str
    chains: list[int]
    label: str | None
    created_at: datetime


class WalletList(msgspec.Struct, frozen=True):
    """Some wallets, and the cursor to the next ones; null at the end."""

    items: list[WalletView]
    next_cursor: str | None


MODELS = (WalletView, WalletList)
EXAMPLE = WalletView(
    id=7,
    address="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    chains=[1, 10],
    label="savings",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@router.post(
    "/wallets",
    operation_id="createWallet",
    status_code=201,
    responses=answers(
        WalletView,
        description="Watched: new (201), or there already and extended by chains (200).",
        example=EXAMPLE,
        statuses=(201, 200),
        problems=(400, 401, 413, 422, 503),
    ),
)
def create_wallet(owner: OwnerDep, runtime: RuntimeDep, body: WalletRequest) -> Response:
    """Watch an address; its sync starts at once and the call does not wait for it."""
    watched = watch(
        runtime.engine,
        owner=owner,
        account=parse_account(body.address),
        chain_ids=body.chains,
        label=body.label,
        source=body.source,
        settings=runtime.settings,
        clock=runtime.clock,
    )
    wake(runtime.engine, runtime.seams.queue, watched.stream_ids)
    prefix = runtime.settings.api_prefix.rstrip("/")
    location = f"{prefix}/wallets/{watched.wallet.id}"
    status = 201 if watched.created else 200
    answer = json_answer(wallet_view(watched.wallet), status, Location=location)
    answer.background = BackgroundTask(start_for, runtime, len(watched.stream_ids))
    return answer


@router.get(
    "/wallets",
    operation_id="listWallets",
    responses=answers(
        WalletList,
        description="The owner's wallets in the order they were added.",
        example=WalletList([EXAMPLE], None),
        problems=(401, 422, 503),
    ),
)
def list_wallets(
    owner: OwnerDep,
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """All wallets, page by page."""
    scope = f"wallets of {owner}"
    after_id = 0 if cursor is None else cursors.decode(cursor, scope)[0].block
    with reading(runtime.engine) as connection:
        rows = wallets_of(connection, owner, after_id=after_id, most=limit + 1)
    shown = rows[:limit]
    more = len(rows) > limit
    following = cursors.encode({0: Position(shown[-1].id, 0)}, scope) if more else None
    return json_answer(WalletList([wallet_view(row) for row in shown], following))


@router.get(
    "/wallets/{wallet_id}",
    operation_id="getWallet",
    responses=answers(WalletView, description="The wallet.", example=EXAMPLE),
)
def get_wallet(owner: OwnerDep, runtime: RuntimeDep, wallet_id: WalletId) -> Response:
    """One wallet."""
    return json_answer(wallet_view(wallet_for(runtime, owner, wallet_id)))


@router.delete(
    "/wallets/{wallet_id}",
    operation_id="deleteWallet",
    status_code=204,
    responses=answers(None, description="Forgotten.", statuses=(204,)),
)
def delete_wallet(owner: OwnerDep, runtime: RuntimeDep, wallet_id: WalletId) -> Response:
    """Stop watching; what was synced is kept for a while in case it comes back."""
    unwatch(runtime.engine, owner=owner, wallet_id=wallet_id)
    return Response(status_code=204)


def wallet_for(runtime: Runtime, owner: str, wallet_id: int) -> WalletRow:
    """The wallet, if it is the owner's.

    Raises:
        NotFoundError: It is not, or does not exist.
    """
    with reading(runtime.engine) as connection:
        return wallet_or_raise(wallet_of(connection, owner, wallet_id))


def wallet_view(row: WalletRow) -> WalletView:
    """A wallet as shown."""
    return WalletView(
        id=row.id,
        address=checksum_address(row.account),
        chains=row.chain_ids,
        label=row.label,
        created_at=row.created_at,
    )
