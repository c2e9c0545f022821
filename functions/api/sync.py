"""Syncs: to start one, to watch it, and to work it where there is no worker."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from functions.api.wallets import WalletId, wallet_for
from functions.deps import OwnerDep, RuntimeDep
from functions.invocation import start_for
from functions.openapi import answers, json_answer
from schema.engine import reading
from schema.queries.stream_view import live_streams
from schema.queries.wallet import WalletRow
from shared.clock import Deadline
from shared.runtime import Runtime
from shared.sync.progress import Fault, StreamProgress, overall, progress
from shared.sync.run import RunReport
from shared.sync.start import sync_now

router = APIRouter(tags=["sync"])

LONGEST_STEP_S = 300


class StepRequest(BaseModel):
    """How long one step may take; without it the server's own box."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"budget_s": 5}})

    budget_s: Annotated[float | None, Field(gt=0, le=LONGEST_STEP_S)] = None


class SyncView(msgspec.Struct, frozen=True):
    """How far a wallet's sync is: one word for all, and each stream."""

    wallet_id: int
    state: str
    streams: list[StreamProgress]


class ChunkView(msgspec.Struct, frozen=True):
    """One turn of one stream within a step."""

    stream_id: int
    outcome: str
    pages: int
    inserted: int
    deleted: int
    seconds: float
    error: Fault | None


class StepView(msgspec.Struct, frozen=True):
    """What a step did, how things stand, and in how many seconds the next one makes sense."""

    chunks: list[ChunkView]
    next_due_s: float | None
    sync: SyncView


MODELS = (SyncView, StepView)
FAULT = Fault("source_rate_limited", "etherscan: HTTP 429; retry in 2 s", "")
EXAMPLE = SyncView(
    wallet_id=7,
    state="syncing",
    streams=[
        StreamProgress(
            stream_id=42,
            chain_id=1,
            kind="native",
            source="etherscan",
            state="syncing",
            movements=1204,
            blocks_done=18_000_000,
            blocks_known=23_870_001,
            settled_block=17_999_999,
            synced_at=None,
            error=FAULT,
            next_try=None,
            anchor="known",
        )
    ],
)
STEP_EXAMPLE = StepView([ChunkView(42, "unfinished", 9, 9000, 0, 4.2, None)], 0.0, EXAMPLE)


@router.post(
    "/wallets/{wallet_id}/sync",
    operation_id="startSync",
    status_code=202,
    responses=answers(
        SyncView, description="Started; ask for progress.", example=EXAMPLE, statuses=(202,)
    ),
)
def start_sync(owner: OwnerDep, runtime: RuntimeDep, wallet_id: WalletId) -> Response:
    """Have all streams of a wallet worked now; those that gave up start afresh."""
    wallet = wallet_for(runtime, owner, wallet_id)
    stream_ids = sync_now(
        runtime.engine,
        runtime.seams.queue,
        address_id=wallet.address_id,
        chain_ids=wallet.chain_ids,
    )
    answer = json_answer(sync_view(runtime, wallet), 202)
    answer.background = BackgroundTask(start_for, runtime, len(stream_ids))
    return answer


@router.get(
    "/wallets/{wallet_id}/sync",
    operation_id="getSync",
    responses=answers(SyncView, description="Progress per stream.", example=EXAMPLE),
)
def get_sync(owner: OwnerDep, runtime: RuntimeDep, wallet_id: WalletId) -> Response:
    """How far the sync of a wallet is."""
    return json_answer(sync_view(runtime, wallet_for(runtime, owner, wallet_id)))


@router.post(
    "/wallets/{wallet_id}/sync/step",
    operation_id="stepSync",
    responses=answers(
        StepView,
        description="One box was worked.",
        example=STEP_EXAMPLE,
        problems=(400, 401, 404, 422, 503),
    ),
)
def step_sync(
    owner: OwnerDep,
    runtime: RuntimeDep,
    wallet_id: WalletId,
    body: StepRequest | None = None,
) -> Response:
    """Work what is due of this wallet within this call: a client's own engine of the sync."""
    wallet = wallet_for(runtime, owner, wallet_id)
    budget_s = (body.budget_s if body else None) or runtime.settings.run_budget_s
    with reading(runtime.engine) as connection:
        stream_ids = list(live_streams(connection, wallet.address_id, wallet.chain_ids))
    report = runtime.sync.step(stream_ids, Deadline.after(runtime.clock, budget_s))
    return json_answer(StepView(_chunks(report), report.next_due_s, sync_view(runtime, wallet)))


def sync_view(runtime: Runtime, wallet: WalletRow) -> SyncView:
    """How far the sync of a wallet is."""
    streams = progress(runtime.engine, address_id=wallet.address_id, chain_ids=wallet.chain_ids)
    return SyncView(wallet.id, overall(streams), streams)


def _chunks(report: RunReport) -> list[ChunkView]:
    return [
        ChunkView(
            stream_id=chunk.stream_id,
            outcome=chunk.outcome,
            pages=chunk.pages,
            inserted=chunk.inserted,
            deleted=chunk.deleted,
            seconds=round(chunk.seconds, 3),
            error=None if chunk.error is None else Fault(*chunk.error),
        )
        for chunk in report.chunks
    ]
