"""From the ledger back into the queue: what is due but that nobody may be looking at."""

from schema.queries import retire, seen_call, stream
from shared.queue.base import Push, WakeUp
from shared.seams import Seams
from shared.settings import Settings
from shared.sync import source_change

BATCH = 500
DAY_S = 86_400.0
CALLS_KEPT_S = 900.0  # a signature is good for five minutes


def push_due(seams: Seams, *, most: int = BATCH) -> int:
    """Wake every stream that is due and free; the number pushed. One query when nothing is due."""
    due = seams.unit.run("due", lambda connection: stream.due(connection, most=most))
    if due:
        seams.queue.push_many([Push(WakeUp(feed.stream_id), feed=feed.name) for feed in due])
    return len(due)


def tidy(seams: Seams, settings: Settings) -> bool:
    """Finish changes of provider, delete old run rows and one batch of streams let go.

    True while there may be more to delete.
    """
    source_change.finish_changes(seams)
    seams.unit.run(
        "prune", lambda connection: retire.prune_runs(connection, settings.run_keep_days * DAY_S)
    )
    seams.unit.run("forget calls", lambda connection: seen_call.prune(connection, CALLS_KEPT_S))
    return seams.unit.run(
        "retire", lambda connection: retire.delete_rested(connection, settings.rest_days * DAY_S)
    )
