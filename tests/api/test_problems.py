"""Errors: always a problem document, never a 500 for what a caller sent, never more than is due."""

import logging
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from shared import errors
from shared.runtime import Runtime
from tests.api.conftest import ADDRESS, Api, make_client, make_runtime
from tests.conftest import Database

MEMBERS = {"type", "title", "status", "detail", "code", "instance", "request_id"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"address": NaN, "chains": [1]}', 400),
        (b'{"address": "0x", "chains": [Infinity]}', 400),
        (b'{"address": "\\ud800", "chains": [1]}', 400),
        (b'{"address": "a", "chains": [1], "label": "\\udc00"}', 400),
        (b'{"address": "\xff", "chains": [1]}', 400),
        (b'{"address": "\xed\xa0\x80", "chains": [1]}', 400),
        (b'{"address": "a\\u0000b", "chains": [1]}', 422),
        (b'{"a\\u0000b": 1}', 422),
        (b"[" * 30_000 + b"]" * 30_000, 400),
        (b"[" * 20 + b"]" * 20, 400),
        (b'{"address": "' + b"a" * 70_000 + b'", "chains": [1]}', 413),
        (b'{"address": "0x", "chains": [1e400]}', 400),
        (b'{"address": "0x", "chains": [' + b"9" * 5000 + b"]}", 400),
        (b"{", 400),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b"", 422),
        (b'{"address": 1, "chains": 1}', 422),
        (b'{"address": "a", "chains": [1], "nonsense": 1}', 422),
    ],
)
def test_no_body_can_cause_a_server_error(api: Api, body: bytes, status: int) -> None:
    answer = api.post("/wallets", content=body, headers=JSON)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) >= MEMBERS


def test_a_validation_problem_names_the_field_and_not_the_value(api: Api) -> None:
    answer = api.post("/wallets", json={"address": ADDRESS, "chains": ["secret"]})

    body = answer.json()
    assert (body["status"], body["code"], body["field"]) == (422, "invalid_input", "chains.0")
    assert body["title"]
    assert body["instance"] == "/api/wallets"
    assert "secret" not in answer.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_of_another_type_is_no_json(api: Api, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = api.post("/wallets", content=b'{"address": "0x"}', headers=headers)

    assert answer.status_code == 422


def test_unknown_paths_and_methods_are_problems_too(api: Api) -> None:
    missing, wrong = api.get("/nowhere"), api.client.put("/api/wallets")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"] or "POST" in wrong.headers["allow"]


@pytest.mark.parametrize("wallet_id", ["0", "-1", "x", str(2**31), str(2**70), "1%00"])
def test_an_impossible_id_is_a_callers_mistake(api: Api, wallet_id: str) -> None:
    answer = api.get(f"/wallets/{wallet_id}")

    assert answer.status_code in {404, 422}
    assert answer.json()["code"] in {"not_found", "invalid_input"}


def test_a_request_keeps_its_callers_id_and_gets_one_otherwise(api: Api) -> None:
    given = api.get("/wallets/99", headers={"x-request-id": "abc-1"})
    odd = api.get("/wallets/99", headers={"x-request-id": "a b\tc" + "x" * 99})

    assert given.headers["x-request-id"] == given.json()["request_id"] == "abc-1"
    assert odd.headers["x-request-id"] == odd.json()["request_id"]
    assert len(odd.headers["x-request-id"]) == 32


class BrokenRuntime(Runtime):
    """A runtime that fails as it is told."""

    failure: Exception

    def ensure_schema(self) -> None:
        raise self.failure


EXPECTED = [
    (errors.ConfigError("no", fix="do"), 503, "config"),
    (errors.StorageError("gone"), 503, "storage"),
    (errors.DeadlineExceededError("late"), 503, "deadline"),
    (errors.LeaseLostError("lost"), 409, "lease_lost"),
    (errors.NotFoundError("none"), 404, "not_found"),
    (errors.InvalidCursorError("bad"), 422, "invalid_cursor"),
    (errors.SourceRateLimitedError("s", "slow", retry_after_s=2.5), 503, "source_rate_limited"),
    (errors.SourceUnavailableError("s", "down"), 502, "source_unavailable"),
    (errors.SourceDeniedError("s", "key"), 502, "source_denied"),
    (errors.TallybookError("bug"), 500, "internal"),
    (OperationalError("SELECT secret", {}, Exception("secret")), 503, "storage"),
    (RuntimeError("secret"), 500, "internal"),
]


@pytest.mark.parametrize(("failure", "status", "code"), EXPECTED, ids=lambda v: str(v)[:20])
def test_each_class_of_error_has_its_status_and_code(
    sqlite_url: str, clock: Any, failure: Exception, status: int, code: str
) -> None:
    database = Database(None, sqlite_url, "sqlite", clock)  # type: ignore[arg-type]
    base = make_runtime(database)
    runtime = BrokenRuntime(base.settings, base.clock, base.http)
    runtime.failure = failure

    answer = make_client(runtime).get("/api/wallets")

    body = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (status, code, status)
    assert "secret" not in answer.text
    if isinstance(failure, errors.SourceRateLimitedError):
        assert answer.headers["retry-after"] == "3"


def test_a_bug_is_logged_whole_under_its_request_id(
    sqlite_url: str, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    base = make_runtime(Database(None, sqlite_url, "sqlite", clock))  # type: ignore[arg-type]
    runtime = BrokenRuntime(base.settings, base.clock, base.http)
    runtime.failure = RuntimeError("the cause")

    with caplog.at_level(logging.ERROR):
        answer = make_client(runtime).get("/api/wallets")

    assert "the cause" in caplog.text
    assert answer.json()["request_id"] in {
        getattr(record, "request_id", None) for record in caplog.records
    }


def test_an_embedded_database_migrates_itself_a_server_waits_for_its_operator(
    empty_database: Database,
) -> None:
    runtime = make_runtime(empty_database)

    answer = make_client(runtime).get("/api/wallets")
    runtime.close()

    if empty_database.dialect == "sqlite":
        assert answer.json() == {"items": [], "next_cursor": None}
    else:
        assert (answer.status_code, answer.json()["code"]) == (503, "config")
        assert "tallybook init" in answer.json()["fix"]
