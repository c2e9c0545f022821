"""How far each stream is, as people want to see it."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
from sqlalchemy import Engine

from schema.engine import reading
from schema.queries import stream_view
from schema.queries.stream_view import StreamView
from schema.types import StreamState

# What is most worth saying of several streams comes first.
BY_WEIGHT = (
    StreamState.SYNCING,
    StreamState.DEAD,
    StreamState.STOPPED,
    StreamState.SNOOZED,
    StreamState.PENDING,
    StreamState.UP_TO_DATE,
)


class Fault(msgspec.Struct, frozen=True):
    """What went wrong last: a stable code, a sentence, and what to do."""

    code: str
    detail: str
    fix: str


class StreamProgress(msgspec.Struct, frozen=True):
    """One stream. Null is unknown, never zero.

    ``blocks_done`` of ``blocks_known`` blocks are read in the present pass; ``settled_block`` is
    the last that can no longer change. ``anchor`` says whether a reorganisation would be noticed.
    """

    stream_id: int
    chain_id: int
    kind: str
    source: str
    state: str
    movements: int
    blocks_done: int
    blocks_known: int | None
    settled_block: int | None
    synced_at: datetime | None
    error: Fault | None
    next_try: datetime | None
    anchor: Literal["known", "unknown"]


def progress(
    engine: Engine, *, address_id: int, chain_ids: Collection[int]
) -> list[StreamProgress]:
    """The live streams of an address on some chains, by chain."""
    with reading(engine) as connection:
        views = stream_view.stream_views(connection, address_id, chain_ids)
    return [_shown(view) for view in views]


def overall(streams: Sequence[StreamProgress]) -> str:
    """One word for all: at work, else the worst there is, else what is left to do."""
    states = {stream.state for stream in streams}
    return next((state.value for state in BY_WEIGHT if state in states), StreamState.UP_TO_DATE)


def _shown(view: StreamView) -> StreamProgress:
    head = view.synced_block if view.pass_head is None else view.pass_head
    given_up = view.state in {StreamState.STOPPED, StreamState.DEAD}
    fault = None
    if view.error_code is not None:
        fault = Fault(view.error_code, view.error_detail or "", view.error_fix or "")
    return StreamProgress(
        stream_id=view.id,
        chain_id=view.chain_id,
        kind=view.kind,
        source=view.provider,
        state=StreamState.SYNCING.value if view.leased else view.state,
        movements=view.movements,
        blocks_done=view.next_block,
        blocks_known=None if head is None else head + 1,
        settled_block=None if view.settled_block < 0 else view.settled_block,
        synced_at=None if view.synced_at is None else view.synced_at.astimezone(UTC),
        error=fault,
        next_try=None if given_up else view.due_at.astimezone(UTC),
        anchor="known" if view.anchored else "unknown",
    )
