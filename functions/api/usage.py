"""How much of each provider's daily quota is used."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from functions.deps import OwnerDep, RuntimeDep
from functions.openapi import answers, json_answer
from shared.ops.usage import SourceUsage, UsageReport, usage

router = APIRouter(tags=["sync"])

MODELS = (UsageReport,)
RESETS_AT = datetime(2026, 11, 25, tzinfo=UTC)
EXAMPLE = UsageReport(
    counted="all",
    items=[
        SourceUsage("etherscan", 41_213, 100_000, 58_787, RESETS_AT),
        SourceUsage("defillama", 96, None, None, RESETS_AT),
    ],
)


@router.get(
    "/usage",
    operation_id="getUsage",
    responses=answers(
        UsageReport,
        description="Calls of today, and the daily limits.",
        example=EXAMPLE,
        problems=(401, 422, 503),
    ),
)
def get_usage(_owner: OwnerDep, runtime: RuntimeDep) -> Response:
    """Calls made of each provider since midnight (UTC), and how many its plan allows."""
    return json_answer(usage(runtime.seams.gate, runtime.settings))
