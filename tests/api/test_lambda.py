"""The Lambda function, given the documents that AWS sends."""

import base64
import json
import logging
from dataclasses import dataclass
from typing import Any

import pytest

from functions.aws_lambda import make_handler, make_refusing_handler
from shared.errors import ConfigError
from shared.runtime import Runtime
from tests.api.conftest import ADDRESS, make_runtime
from tests.conftest import Database

TOKEN = "token-of-the-owner"
EVENTS_RULE = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-24T03:00:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:events:eu-central-1:123456789012:rule/tallybook-tick"],
    "detail": {},
}
SCHEDULER = EVENTS_RULE | {
    "source": "aws.scheduler",
    "resources": ["arn:aws:scheduler:eu-central-1:123456789012:schedule/default/tallybook"],
    "detail": "{}",
}
S3_RECORD = {"eventVersion": "2.1", "eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}}}


@dataclass
class Context:
    """What Lambda says of an invocation: here, how long it has."""

    remaining_ms: int = 60_000
    function_name: str = "tallybook"
    aws_request_id: str = "8b7d4a4d"

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def request(method: str, path: str, body: Any = None, query: str = "", **more: Any) -> Any:
    """An HTTP request as API Gateway v2 (payload 2.0) tells it."""
    text = None if body is None else json.dumps(body)
    document = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "authorization": f"Bearer {TOKEN}",
            "content-type": "application/json",
            "host": "abc123.execute-api.eu-central-1.amazonaws.com",
            "x-forwarded-for": "203.0.113.9",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.eu-central-1.amazonaws.com",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "24/Nov/2026:03:00:00 +0000",
            "timeEpoch": 1795489200000,
        },
        "isBase64Encoded": False,
    }
    return document | ({} if text is None else {"body": text}) | more


def message(number: int) -> dict[str, Any]:
    """One record of a batch, as SQS tells it."""
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-{number:012}",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
        "body": json.dumps({"id": f"run-{number}"}),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1795489200000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1795489200001",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:tallybook",
        "awsRegion": "eu-central-1",
    }


@pytest.fixture
def runtime(database: Database) -> Any:
    made = make_runtime(database, api_token=TOKEN)
    yield made
    made.close()


def _answered(runtime: Runtime, event: Any) -> tuple[int, Any]:
    answer = make_handler(runtime)(event, Context())
    return answer["statusCode"], json.loads(answer["body"])


def test_requests_of_api_gateway_are_served(runtime: Runtime) -> None:
    added = request("POST", "/api/wallets", {"address": ADDRESS, "chains": [1]})
    status, wallet = _answered(runtime, added)
    assert (status, wallet["address"]) == (201, ADDRESS)

    listed = request("GET", "/api/wallets", query="limit=1")
    assert _answered(runtime, listed) == (200, {"items": [wallet], "next_cursor": None})
    for name in ("sync", "balances", "history"):
        status, _ = _answered(runtime, request("GET", f"/api/wallets/{wallet['id']}/{name}"))
        assert status == 200


def test_requests_of_a_function_url_are_served(runtime: Runtime) -> None:
    """The same payload, with a body that may come as base64."""
    body = base64.b64encode(json.dumps({"address": ADDRESS, "chains": [1]}).encode()).decode()
    event = request("POST", "/api/wallets", body=None, isBase64Encoded=True)
    event["body"] = body
    event["requestContext"] |= {
        "domainName": "xyz.lambda-url.eu-central-1.on.aws",
        "authentication": None,
        "authorizer": None,
    }

    status, wallet = _answered(runtime, event)

    assert (status, wallet["chains"]) == (201, [1])


def test_nobody_behind_the_gateway_is_on_this_machine(runtime: Runtime) -> None:
    event = request("GET", "/api/wallets")
    del event["headers"]["authorization"]
    event["requestContext"]["http"]["sourceIp"] = "127.0.0.1"

    status, problem = _answered(runtime, event)

    assert (status, problem["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("event", [EVENTS_RULE, SCHEDULER, {"detail": {"task": "tick"}}])
def test_a_schedule_ticks(event: Any, runtime: Runtime) -> None:
    answer = make_handler(runtime)(event, Context())

    assert answer == {"due": 0, "started": 0, "chunks": 0, "more": False}


def test_a_schedules_detail_may_ask_for_prices(runtime: Runtime) -> None:
    event = SCHEDULER | {"detail": {"task": "prices"}}

    answer = make_handler(runtime)(event, Context())

    assert (answer["asked"], answer["left"], answer["problems"]) == (0, 0, [])
    json.dumps(answer)


def test_a_batch_with_time_left_is_done(runtime: Runtime) -> None:
    event = {"Records": [message(1), message(2)]}

    assert make_handler(runtime)(event, Context()) == {"batchItemFailures": []}


def test_a_batch_without_time_comes_back_whole(runtime: Runtime) -> None:
    """400 ms are less than the reserve."""
    event = {"Records": [message(1), message(2)]}

    answer = make_handler(runtime)(event, Context(remaining_ms=400))

    assert answer == {
        "batchItemFailures": [
            {"itemIdentifier": message(1)["messageId"]},
            {"itemIdentifier": message(2)["messageId"]},
        ]
    }


def test_a_batch_whose_time_ends_comes_back_from_there_on(
    runtime: Runtime, database: Database
) -> None:
    """The first run uses the box; the queue's claim moves the clock past its end."""
    queue = runtime.seams.queue
    claim = queue.claim

    def slow_claim(lease_s: float) -> Any:
        database.clock.advance(120)
        return claim(lease_s)

    queue.claim = slow_claim  # type: ignore[method-assign]
    event = {"Records": [message(1), message(2), message(3)]}

    answer = make_handler(runtime)(event, Context())

    left = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert left == [message(2)["messageId"], message(3)["messageId"]]


def test_a_batch_without_its_database_comes_back_whole(
    empty_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """It is at a revision of a later version."""
    unready = make_runtime(empty_database)
    with empty_database.engine.begin() as connection:
        prefix = "" if empty_database.dialect == "sqlite" else "tallybook."
        if prefix:
            connection.exec_driver_sql("CREATE SCHEMA tallybook")
        connection.exec_driver_sql(f"CREATE TABLE {prefix}alembic_version (version_num text)")
        connection.exec_driver_sql(f"INSERT INTO {prefix}alembic_version VALUES ('9999')")

    with caplog.at_level(logging.WARNING):
        answer = make_handler(unready)({"Records": [message(1)]}, Context())
    unready.close()

    assert answer == {"batchItemFailures": [{"itemIdentifier": message(1)["messageId"]}]}
    assert "newer than this version" in caplog.text


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": []},
        {"Records": [S3_RECORD]},
        {"foo": 1},
        {"source": "aws.ec2", "detail": {}},
    ],
)
def test_any_other_event_is_refused_by_name(event: Any, runtime: Runtime) -> None:
    with pytest.raises(ValueError, match=r"unknown event with .*API Gateway v2"):
        make_handler(runtime)(event, Context())


def test_an_unknown_task_is_refused_by_name(runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="unknown task 'sweep': tick and prices are known"):
        make_handler(runtime)({"detail": {"task": "sweep"}}, Context())


def test_a_function_that_is_set_up_wrongly_says_so_to_every_request() -> None:
    error = ConfigError("LEASE_S: not a number", fix="Correct or unset LEASE_S.")
    handle = make_refusing_handler(error)

    answer = handle(request("GET", "/api/health"), Context())

    assert answer["statusCode"] == 503
    assert "LEASE_S" in json.loads(answer["body"])["detail"]
    with pytest.raises(ConfigError, match="LEASE_S"):
        handle({"Records": [message(1)]}, Context())
