"""Who is served: the bearer of the token, or without one only this machine."""

from typing import Any

import pytest
from pydantic import SecretStr

from functions.deps import is_loopback
from tests.api.conftest import Api, make_client, make_runtime
from tests.conftest import Database

PATHS = (
    ("GET", "/wallets"),
    ("POST", "/wallets"),
    ("GET", "/wallets/1"),
    ("DELETE", "/wallets/1"),
    ("POST", "/wallets/1/sync"),
    ("GET", "/wallets/1/sync"),
    ("POST", "/wallets/1/sync/step"),
    ("GET", "/wallets/1/balances"),
    ("GET", "/wallets/1/history"),
    ("GET", "/prices"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer", "Bearer ", "s3cret", "Basic s3cret", "Bearer é"]
)
def test_without_the_token_nothing_is_served(
    sqlite_url: str, clock: Any, method: str, path: str, header: str | None
) -> None:
    database = Database(None, sqlite_url, "sqlite", clock)  # type: ignore[arg-type]
    runtime = make_runtime(database, api_token=SecretStr("s3cret"))
    headers = {} if header is None else {"authorization": header.encode("latin-1")}

    answer = make_client(runtime).request(method, f"/api{path}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "s3cret" not in answer.text


def test_the_token_opens_from_anywhere(database: Database) -> None:
    runtime = make_runtime(database, api_token=SecretStr("s3cret"))
    client = make_client(runtime, "203.0.113.7")

    answer = client.get("/api/wallets", headers={"authorization": "Bearer s3cret"})
    runtime.close()

    assert answer.status_code == 200


@pytest.mark.parametrize("token", [None, SecretStr("")])
def test_without_a_token_only_this_machine_is_served(
    database: Database, token: SecretStr | None
) -> None:
    runtime = make_runtime(database, api_token=token)

    here = make_client(runtime).get("/api/wallets")
    there = make_client(runtime, "203.0.113.7").get("/api/wallets")
    empty = make_client(runtime, "203.0.113.7").get(
        "/api/wallets", headers={"authorization": "Bearer "}
    )
    runtime.close()

    assert here.status_code == 200
    assert (there.status_code, empty.status_code) == (401, 401)
    assert "API_TOKEN" in there.json()["fix"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "203.0.113.7"},
        {"forwarded": "for=203.0.113.7"},
        {"host": "evil.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_a_proxy_or_a_page_elsewhere_is_not_this_machine(api: Api, headers: dict[str, str]) -> None:
    assert api.get("/wallets", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "platform",
    [
        {"vercel": "1"},
        {"aws_lambda_function_name": "f"},
        {"railway_environment_name": "production"},
    ],
)
def test_on_a_platform_nobody_is_on_this_machine(api: Api, platform: dict[str, str]) -> None:
    api.runtime.settings = api.runtime.settings.model_copy(update=platform)

    for path in ("/wallets", "/internal/tick"):
        assert api.get(path).status_code == 401


def test_health_and_docs_need_no_token(database: Database) -> None:
    runtime = make_runtime(database, api_token=SecretStr("s3cret"))
    client = make_client(runtime, "203.0.113.7")

    answers = [client.get(f"/api/{path}") for path in ("health", "docs", "openapi.json")]
    runtime.close()

    assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("::", False), ("192.168.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
