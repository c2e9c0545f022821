"""From the ledger back into the queue: what is due but that nobody may be looking at."""

from collections.abc import Container

from schema.queries import retire, seen_call, stream
from schema.queries.stream import Feed
from shared.queue.base import Push, WakeUp
from shared.seams import Seams
from shared.settings import Settings
from shared.sync import source_change

BATCH = 500
DAY_S = 86_400.0
CALLS_KEPT_S = 900.0  # a signature is good for five minutes


def push_due(seams: Seams, *, most: int = BATCH, but: Container[Feed] = frozenset()) -> list[Feed]:
    """Wake every stream that is due and free, ``but`` some; those pushed.

    One query when nothing is due.
    """
    due = seams.unit.run("due", lambda connection: stream.due(connection, most=most))
    new = [feed for feed in due if feed not in but]
    if new:
        seams.queue.push_many([Push(WakeUp(feed.stream_id), feed=feed.name) for feed in new])
    return new


def tidy(seams: Seams, settings: Settings) -> bool:
    """Finish changes of provider, delete a batch of old run rows and one of streams let go.

    True while there may be more to delete.
    """
    source_change.finish_changes(seams)
    runs = seams.unit.run(
        "prune", lambda connection: retire.prune_runs(connection, settings.run_keep_days * DAY_S)
    )
    seams.unit.run("forget calls", lambda connection: seen_call.prune(connection, CALLS_KEPT_S))
    rested = seams.unit.run(
        "retire", lambda connection: retire.delete_rested(connection, settings.rest_days * DAY_S)
    )
    return rested or runs >= retire.BATCH
