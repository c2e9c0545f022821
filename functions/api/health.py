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
    """``status`` is ok or down; ``problem`` says why. Holds no secrets.

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
    standby: str | None = None


MODELS = (HealthView,)
EXAMPLE = HealthView("ok", "postgresql", True, "0001", "0001", QueueCounts(2, 7, 1, 0), None)


@router.get(
    "/health",
    operation_id="getHealth",
    responses=answers(
        HealthView,
        description="Serving (200) or not (503).",
        example=EXAMPLE,
        statuses=(200, 503),
        problems=(),
    ),
)
def get_health(runtime: RawRuntimeDep) -> Response:
    """Database reachable, schema at head, queue counted; needs no token."""
    return json_answer(*_view(runtime.health()))


def _view(health: Health) -> tuple[HealthView, int]:
    ok = health.problem is None
    view = HealthView(
        status="ok" if ok else "down",
        database=health.dialect,
        reachable=health.reachable,
        revision=health.revision,
        head=health.head,
        queue=None if health.queue is None else QueueCounts(*health.queue),
        problem=health.problem,
        standby=health.standby,
    )
    return view, 200 if ok else 503
