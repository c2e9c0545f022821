"""Where a process runs, told by the variables that each platform sets."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool

from functions.invocation import deadline_of
from shared.platform import Platform, ending_at, platform_of, told_end
from shared.runtime import Runtime
from shared.settings import Settings
from tests.fakes import FakeClock

CASES: tuple[tuple[dict[str, str], Platform], ...] = (
    ({}, Platform.LOCAL),
    ({"VERCEL": "1"}, Platform.VERCEL),
    ({"AWS_LAMBDA_FUNCTION_NAME": "tallybook"}, Platform.LAMBDA),
    # Vercel's functions are Lambdas underneath.
    ({"VERCEL": "1", "AWS_LAMBDA_FUNCTION_NAME": "x"}, Platform.VERCEL),
    ({"RAILWAY_ENVIRONMENT_NAME": "production"}, Platform.RAILWAY),
    ({"RAILWAY_ENVIRONMENT": "production"}, Platform.RAILWAY),
    ({"VERCEL": "", "RAILWAY_ENVIRONMENT": ""}, Platform.LOCAL),
)
BOX_S, RESERVE_S = 7.0, 1.5


@pytest.fixture
def runtime(clock: FakeClock) -> Runtime:
    url = SecretStr("sqlite://")
    settings = Settings(database_url=url, run_budget_s=BOX_S, reserve_s=RESERVE_S)
    return Runtime.from_settings(settings, clock=clock)


@pytest.mark.parametrize(("variables", "expected"), CASES)
def test_a_platform_is_known_by_its_variables(
    variables: dict[str, str], expected: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAILWAY_ENVIRONMENT", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert platform_of(Settings.load()) is expected


@pytest.mark.parametrize("platform", list(Platform))
def test_no_end_is_told_outside_a_deployed_bundle(platform: Platform) -> None:
    assert told_end(platform) is None


@pytest.mark.parametrize(("told_s", "expected_s"), [(100.0, 98.5), (1.0, 0.0), (-3.0, 0.0)])
def test_the_deadline_is_the_told_end_less_the_reserve(
    told_s: float, expected_s: float, runtime: Runtime, clock: FakeClock
) -> None:
    with ending_at(clock.now() + timedelta(seconds=told_s)):
        assert deadline_of(runtime).remaining_s() == expected_s

    assert deadline_of(runtime).remaining_s() == BOX_S


def test_a_thread_of_a_handler_knows_the_end(runtime: Runtime, clock: FakeClock) -> None:
    async def handled() -> float:
        return await run_in_threadpool(lambda: deadline_of(runtime).remaining_s())

    with ending_at(clock.now() + timedelta(seconds=50)):
        assert asyncio.run(handled()) == 50 - RESERVE_S
