"""Whether this process can serve."""

import msgspec
from fastapi import APIRouter, Response

from functions.deps import RawRuntimeDep
from functions.openapi import answers, json_answer
from shared.runtime import Health

router = APIRouter(tags=["health"])


class QueueCounts(msgspec.Struct, frozen=True):
    """Wake-ups that are claimable now, due later, being worked, and given up."""

    ready: int
    delayed: int
    claimed: int
    buried: int


class HealthView(msgspec.Struct, frozen=True):
    """``status`` is ok, degraded or down; ``problem`` says why, ``fix`` what to do. No secrets.

    Degraded: what the ledger knows is served, but the queue is out of reach, so nothing is worked
    for now; ``queue`` is null. ``reachable`` is the database's. The queue is counted at most
    twice a minute.

    ``standby`` says why this process serves but works nothing: work is paused, or another queue
    than its own is the active one. Null when it works.
    """

    status: str
    database: str
    reachable: bool
    revision: str | None
    head: str
    queue: QueueCounts | None
    problem: str | None
    fix: str | None = None
    standby: str | None = None


MODELS = (HealthView,)
COUNT_S = 30.0  # anybody may ask, and Upstash bills each count
EXAMPLE = HealthView("ok", "postgresql", True, "0001", "0001", QueueCounts(2, 7, 1, 0), None)


@router.get(
    "/health",
    operation_id="getHealth",
    responses=answers(
        HealthView,
        description=(
            "Serving: all is well (200, ok) or only the queue is out of reach (200, degraded)."
            " Not serving (503, down)."
        ),
        example=EXAMPLE,
        statuses=(200, 503),
        problems=(),
    ),
)
def get_health(runtime: RawRuntimeDep) -> Response:
    """Database reachable, schema at head, queue counted; needs no token."""
    return json_answer(*_view(runtime.health(counted_within_s=COUNT_S)))


def _view(health: Health) -> tuple[HealthView, int]:
    well = "ok" if health.problem is None else "degraded"
    view = HealthView(
        status=well if health.serves else "down",
        database=health.dialect,
        reachable=health.reachable,
        revision=health.revision,
        head=health.head,
        queue=None if health.queue is None else QueueCounts(*health.queue),
        problem=health.problem,
        fix=health.fix,
        standby=health.standby,
    )
    return view, 200 if health.serves else 503
