"""Whatever is sent, the answer is one that the description knows, and never our fault."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from functions.app import create_app
from functions.deps import OWNER
from shared.address import parse_account
from shared.clock import Deadline
from shared.errors import SourceUnavailableError
from shared.http import HttpResponse
from shared.runtime import Runtime
from shared.settings import Settings
from shared.sync.watch import watch
from tests.api.conftest import ADDRESS
from tests.api.test_openapi import OPERATIONS
from tests.conftest import Database

TOKEN = "token"
NEVER_WELL = {"runChunk"}  # it wants a signature, which chance does not make
EXAMPLES = 12
# A provider that is away may be said to be away: 502 and 503 are described.
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SLOW_IS_WELL = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
]


class NobodyAnswers:
    """A network on which every provider is away."""

    def get(
        self, source: str, url: str, *, params: Any, deadline: Deadline, max_bytes: int = 0
    ) -> HttpResponse:
        message = f"nobody at {url}: {params}, {deadline}, {max_bytes}"
        raise SourceUnavailableError(source, message)


@pytest.fixture
def runtime(database: Database) -> Iterator[Runtime]:
    chosen = Settings(
        database_url=SecretStr(database.url),
        api_token=SecretStr(TOKEN),
        cron_secret=SecretStr(TOKEN),
        run_budget_s=0.2,
    )
    made = Runtime.from_settings(chosen, clock=database.clock, http=NobodyAnswers())
    yield made
    made.close()


def _a_wallet(runtime: Runtime) -> int:
    watched = watch(
        runtime.engine,
        owner=OWNER,
        account=parse_account(ADDRESS),
        chain_ids=[1],
        label=None,
        source=None,
        settings=runtime.settings,
        clock=runtime.clock,
    )
    return watched.wallet.id


# A stream of events ends with its sync: test_live.py reads them.
@pytest.mark.parametrize("operation_id", sorted(OPERATIONS - {"watchSync"}))
def test_no_call_ends_in_an_error_of_ours(runtime: Runtime, operation_id: str) -> None:
    app = create_app(runtime)
    document = schemathesis.openapi.from_asgi("/api/openapi.json", app)
    operation = document.find_operation_by_id(operation_id)
    headers = {"authorization": f"Bearer {TOKEN}"}
    wallet_id = _a_wallet(runtime)
    statuses = set()

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=SLOW_IS_WELL
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case[Any]) -> None:
        if case.path_parameters.get("wallet_id", 0) % 2:
            case.path_parameters["wallet_id"] = wallet_id  # else hardly any would be there
        answer = case.call(headers=headers)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    ask()

    well = {200, 201, 202, 204} & statuses
    if operation_id != "createWallet":  # whether its address is one is a matter of chance
        assert bool(well) == (operation_id not in NEVER_WELL)
