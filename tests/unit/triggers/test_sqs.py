"""What a queue of AWS gets to hold, as moto's SQS tells it back."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.clock import Deadline
from shared.errors import DeadlineExceededError, TriggerError
from shared.triggers.base import Caller
from shared.triggers.sqs import SqsTrigger
from tests.fakes import FakeClock

REGION = "eu-central-1"


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    # The region comes from the queue's URL, whatever the environment says.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with mock_aws():
        yield boto3.client("sqs", region_name=REGION)


def made(clock: FakeClock, url: str) -> SqsTrigger:
    return SqsTrigger(Caller(clock, "key", "https://unused.invalid", "/api/internal/chunk"), url)


def fire(trigger: SqsTrigger, clock: FakeClock, times: int = 1) -> None:
    for _ in range(times):
        trigger.fire(Deadline.after(clock, 20.0))


def received(sqs: Any, url: str) -> list[Any]:
    """All that can be had at once."""
    found = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    messages: list[Any] = found.get("Messages", [])
    return messages


def test_each_run_is_one_message_that_can_be_had_at_once_and_holds_no_secret(
    sqs: Any, clock: FakeClock
) -> None:
    url = sqs.create_queue(QueueName="tallybook")["QueueUrl"]

    fire(made(clock, url), clock, times=2)

    first, second = received(sqs, url)
    bodies = [json.loads(message["Body"]) for message in (first, second)]
    assert [list(body) for body in bodies] == [["id"], ["id"]]
    assert bodies[0] != bodies[1]
    assert "MessageAttributes" not in first
    # No delay: it was received in the instant in which it was sent.
    sent_at = datetime.fromtimestamp(int(first["Attributes"]["SentTimestamp"]) / 1000, UTC)
    assert sent_at.year >= 2026
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessagesDelayed"] == "0"


def test_a_fifo_queue_works_runs_side_by_side_and_drops_a_doubled_message(
    sqs: Any, clock: FakeClock
) -> None:
    url = sqs.create_queue(QueueName="tallybook.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]

    fire(made(clock, url), clock, times=2)

    # One group each: a group whose message is being worked gives out no other one.
    first, second = received(sqs, url)
    for message in (first, second):
        own = json.loads(message["Body"])["id"]
        told = message["Attributes"]
        assert (told["MessageGroupId"], told["MessageDeduplicationId"]) == (own, own)
    own = json.loads(first["Body"])["id"]
    sqs.send_message(
        QueueUrl=url,
        MessageBody=first["Body"],
        MessageGroupId=own,
        MessageDeduplicationId=own,
    )
    for message in (first, second):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert received(sqs, url) == []


def test_a_queue_that_is_not_there_is_named_without_its_account(sqs: Any, clock: FakeClock) -> None:
    url = sqs.create_queue(QueueName="gone")["QueueUrl"]
    sqs.delete_queue(QueueUrl=url)

    with pytest.raises(TriggerError) as caught:
        fire(made(clock, url), clock)

    assert "SQS did not take a message" in caught.value.detail
    assert "123456789012" not in caught.value.detail
    assert "SQS_QUEUE_URL" in caught.value.how_to_fix


def test_nothing_is_sent_once_the_time_is_over_nor_at_a_closing(sqs: Any, clock: FakeClock) -> None:
    url = sqs.create_queue(QueueName="tallybook")["QueueUrl"]
    trigger = made(clock, url)

    with pytest.raises(DeadlineExceededError):
        trigger.fire(Deadline.after(clock, 0.0))

    assert trigger.in_closing() is None
    assert received(sqs, url) == []
