"""The cron call that refreshes prices; a scheduler may send GET or POST."""

import msgspec
from fastapi import APIRouter, Depends, Response
from starlette.background import BackgroundTask

from functions.api.internal import Early
from functions.deps import RuntimeDep, require_cron
from functions.invocation import deadline_of, unattended
from functions.openapi import answers, json_answer
from shared.prices.refresh import RefreshReport

router = APIRouter(tags=["internal"], dependencies=[Depends(require_cron)])

PATH = "/internal/prices"


class ProviderProblem(msgspec.Struct, frozen=True):
    """What went wrong with a provider; the refresh went on without it."""

    source: str
    code: str
    detail: str


class PricesRefreshed(msgspec.Struct, frozen=True):
    """What one refresh did; ``left`` is due still, so call again while it is not zero.

    ``asked`` is the sum of ``priced``, ``unknown`` and ``unanswered``. ``flagged`` are among the
    priced, ``spam`` is what was given up now. ``calls`` counts requests by provider.
    """

    asked: int
    priced: int
    unknown: int
    unanswered: int
    flagged: int
    spam: int
    left: int
    calls: dict[str, int]
    problems: list[ProviderProblem]


MODELS = (PricesRefreshed,)
EXAMPLE = PricesRefreshed(
    asked=140,
    priced=61,
    unknown=79,
    unanswered=0,
    flagged=1,
    spam=4,
    left=0,
    calls={"defillama": 2, "coingecko": 4, "binance": 1},
    problems=[],
)
RESPONSES = answers(
    PricesRefreshed,
    description="One box was worked (200), or still will be (202).",
    example=EXAMPLE,
    statuses=(200, 202),
    problems=(401, 422, 503),
)


@router.get(PATH, operation_id="refreshPricesByGet", responses=RESPONSES)
@router.post(PATH, operation_id="refreshPrices", responses=RESPONSES)
def refresh_prices(runtime: RuntimeDep, early: Early = False) -> Response:
    """Ask for the prices that are due, oldest first, until none is or the box is over."""
    deadline = deadline_of(runtime)
    if not early:
        return json_answer(view_of(runtime.prices.refresh(deadline)))
    answer = json_answer(view_of(RefreshReport(left=runtime.prices.due())), 202)
    answer.background = BackgroundTask(unattended, lambda: runtime.prices.refresh(deadline))
    return answer


def view_of(report: RefreshReport) -> PricesRefreshed:
    """A report as it is answered."""
    return PricesRefreshed(
        asked=report.asked,
        priced=report.priced,
        unknown=report.unknown,
        unanswered=report.unanswered,
        flagged=report.flagged,
        spam=report.spam,
        left=report.left,
        calls=report.calls,
        problems=[ProviderProblem(*problem) for problem in report.problems],
    )
