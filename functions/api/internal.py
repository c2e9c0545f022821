"""The deployment's own calls: one starts a run, the other is the cron's tick."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, BackgroundTasks, Depends, Query, Request, Response
from pydantic import SecretStr
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from functions.deps import RuntimeDep, require_cron
from functions.invocation import deadline_of, run_once, tick, unattended, worked
from functions.openapi import answers, json_answer
from schema.engine import autocommit
from schema.queries import seen_call
from shared import auth
from shared.auth import SIGNATURE_HEADER, TIME_HEADER, SignedCall
from shared.errors import ReplayedError, UnauthorizedError
from shared.runtime import Runtime
from shared.triggers import qstash_signature as qstash
from shared.triggers.factory import public_url

router = APIRouter(tags=["internal"])

CHUNK, TICK = "/internal/chunk", "/internal/tick"
# pg_net waits for five seconds, and takes what comes later for a failure.
Early = Annotated[bool, Query(description="Answer before the work: for who does not wait long.")]
UNSIGNED = "this call needs a signature of ours, not older than five minutes"


class Accepted(msgspec.Struct, frozen=True):
    """A run has begun; the call does not wait for it."""

    accepted: bool


class TickView(msgspec.Struct, frozen=True):
    """Streams found due, runs started, and what was worked within the call."""

    due: int
    started: int
    chunks: int
    more: bool


MODELS = (Accepted, TickView)
TICKED = answers(
    TickView,
    description="Swept and worked (200), or swept and still to be worked (202).",
    example=TickView(3, 2, 5, True),
    statuses=(200, 202),
    problems=(401, 422, 503),
)


async def signed_call(request: Request, runtime: RuntimeDep) -> str:
    """What tells this call of one of our triggers from all others, for it to be good once.

    Raises:
        UnauthorizedError: It has no signature, a wrong one or an old one.
    """
    body = await request.body()
    settings, now_s = runtime.settings, runtime.clock.now().timestamp()
    given = request.headers.get(SIGNATURE_HEADER, "")
    secret = _known(settings.cron_secret)
    if given and secret:
        at_s = request.headers.get(TIME_HEADER, "")
        known_at = int(at_s) if at_s.isascii() and at_s.isdecimal() and len(at_s) <= 12 else 0  # noqa: PLR2004
        call = SignedCall(known_at, request.method, request.url.path, body)
        if auth.is_signed(auth.chunk_key(secret), call, given, now_s):
            return given
    token = request.headers.get(qstash.SIGNATURE_HEADER, "")
    keys = (settings.qstash_current_signing_key, settings.qstash_next_signing_key)
    known = tuple(filter(None, map(_known, keys)))
    if token and known:
        host = request.headers.get("host", "")
        delivery = qstash.Delivery(public_url(settings), host, request.url.path, body)
        mark = qstash.mark_of(token, keys=known, delivery=delivery, now_s=now_s)
        if mark:
            return mark
    raise UnauthorizedError(UNSIGNED, fix="Only a trigger of this deployment makes it.")


def _known(secret: SecretStr | None) -> str:
    """A secret's text; a blank one is none: everybody knows it."""
    return "" if secret is None else secret.get_secret_value().strip()


@router.post(
    CHUNK,
    operation_id="runChunk",
    status_code=202,
    responses=answers(
        Accepted,
        description="A run has begun.",
        example=Accepted(accepted=True),
        statuses=(202,),
        problems=(401, 409, 422, 503),
    ),
)
async def run_chunk(
    runtime: RuntimeDep,
    mark: Annotated[str, Depends(signed_call)],
    background: BackgroundTasks,
) -> Response:
    """Accept a run at once, then work it within the same invocation."""
    await run_in_threadpool(_accept, runtime, mark)
    deadline = deadline_of(runtime)
    background.add_task(unattended, lambda: run_once(runtime, deadline))
    answer = json_answer(Accepted(accepted=True), 202)
    answer.background = background
    return answer


@router.get(TICK, operation_id="tickByGet", dependencies=[Depends(require_cron)], responses=TICKED)
@router.post(TICK, operation_id="tick", dependencies=[Depends(require_cron)], responses=TICKED)
def run_tick(runtime: RuntimeDep, early: Early = False) -> Response:
    """Wake what is due, start runs for it, and work one box within this call."""
    deadline = deadline_of(runtime)
    if not early:
        report = tick(runtime, deadline)
        return json_answer(TickView(report.due, report.started, report.chunks, report.more))
    due = runtime.sync.sweep()
    answer = json_answer(TickView(due, 0, 0, due > 0), 202)
    answer.background = BackgroundTask(unattended, lambda: worked(runtime, due, deadline))
    return answer


def _accept(runtime: Runtime, mark: str) -> None:
    """Note a call; each is good once."""
    with autocommit(runtime.engine) as connection:
        if not seen_call.is_new(connection, auth.fingerprint(mark)):
            message = "this call was accepted before"
            raise ReplayedError(message)
