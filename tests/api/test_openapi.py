"""The description: stable names, examples that fit, every answer described."""

import json
from typing import Any

import msgspec
import pytest

from functions.api import health, internal_prices, portfolio, prices, sync, usage, wallets
from functions.app import create_app
from shared.runtime import Runtime
from shared.settings import Settings
from tests.fakes import FakeClock

OPERATIONS = {
    "getHealth", "createWallet", "listWallets", "getWallet", "deleteWallet", "startSync", "getSync",
    "stepSync", "watchSync", "getBalances", "getHistory", "listPrices", "refreshPrices",
    "refreshPricesByGet", "runChunk", "tick", "tickByGet", "getUsage",
}  # fmt: skip


@pytest.fixture
def document() -> dict[str, Any]:
    runtime = Runtime.from_settings(Settings(), clock=FakeClock())
    return create_app(runtime).openapi()


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_operation_ids_are_stable(document: dict[str, Any]) -> None:
    assert {operation["operationId"] for operation in _operations(document)} == OPERATIONS


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert names <= document["components"]["schemas"].keys()
    assert "HTTPValidationError" not in names
    assert '"anyOf": []' not in text


def test_every_operation_has_an_example_and_its_problems(document: dict[str, Any]) -> None:
    for operation in _operations(document):
        responses = operation["responses"]
        good = [found for status, found in responses.items() if status.startswith("2")]
        if operation["operationId"] not in {"deleteWallet", "watchSync"}:
            assert all("example" in found["content"]["application/json"] for found in good)
        if operation["operationId"] != "getHealth":
            assert {"401", "422", "503"} <= responses.keys()
            assert "application/problem+json" in responses["401"]["content"]


def test_the_prefix_is_a_setting() -> None:
    runtime = Runtime.from_settings(Settings(api_prefix="/v1/"), clock=FakeClock())

    assert "/v1/wallets" in create_app(runtime).openapi()["paths"]


@pytest.mark.parametrize(
    "example",
    [health.EXAMPLE, wallets.EXAMPLE, sync.EXAMPLE, sync.STEP_EXAMPLE, portfolio.BALANCES,
     portfolio.HISTORY, prices.EXAMPLE, usage.EXAMPLE, internal_prices.EXAMPLE],
    ids=lambda example: type(example).__name__,
)  # fmt: skip
def test_examples_have_the_shape_they_show(example: msgspec.Struct) -> None:
    encoded = msgspec.json.encode(example)

    assert msgspec.json.decode(encoded, type=type(example)) == example
