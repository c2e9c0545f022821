"""To start a sync because somebody waits: due in the ledger first, then woken."""

import logging
from collections.abc import Collection, Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from schema.engine import reading, session_scope
from schema.queries import stream, stream_view
from shared.errors import TallybookError
from shared.queue.base import Push, Queue, WakeUp

log = logging.getLogger(__name__)


def sync_now(
    engine: Engine, queue: Queue, *, address_id: int, chain_ids: Collection[int]
) -> list[int]:
    """Make the streams of an address due now, the given-up included, and wake them; their ids."""
    stream_ids = make_due(engine, address_id=address_id, chain_ids=chain_ids)
    wake(engine, queue, stream_ids)
    return stream_ids


def make_due(engine: Engine, *, address_id: int, chain_ids: Collection[int]) -> list[int]:
    """Make the streams of an address due now, for a caller that works them itself; their ids."""
    with session_scope(engine) as session:
        connection = session.connection()
        stream_ids = list(stream_view.live_streams(connection, address_id, chain_ids))
        stream_view.mark_due(connection, stream_ids)
    return stream_ids


def wake(engine: Engine, queue: Queue, stream_ids: Sequence[int]) -> None:
    """Wake streams that are due, before all others.

    A queue that is down loses nothing: they are due in the ledger, and the sweep pushes them.
    """
    try:
        with reading(engine) as connection:
            feeds = stream.feeds(connection, stream_ids)
        queue.push_many([Push(WakeUp(feed.stream_id, True), feed=feed.name) for feed in feeds])
    except (TallybookError, DBAPIError) as exc:
        log.warning("wake-up not pushed", exc_info=exc, extra={"streams": len(stream_ids)})
