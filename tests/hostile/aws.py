"""Lambda and its poller of SQS on this machine: moto's queue over HTTP, our handler in a process.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html (read 2026-11-24): a batch is handed over
as one event; with ``ReportBatchItemFailures`` what the answer names stays in the queue, and comes
back when its visibility timeout ends; all else is deleted.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tests import commands

REGION = "eu-central-1"
KEYS = {
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
}
VISIBLE_AGAIN_S = 2
BATCH = 10


class Queue:
    """A queue, with the client that Lambda's poller has."""

    def __init__(self, endpoint: str, *, fifo: bool) -> None:
        self.endpoint = endpoint
        self._sqs: Any = boto3.client(
            "sqs",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id="made-up",
            aws_secret_access_key="made-up",
        )
        attributes = {"VisibilityTimeout": str(VISIBLE_AGAIN_S)}
        if fifo:
            attributes["FifoQueue"] = "true"
        name = "tallybook.fifo" if fifo else "tallybook"
        self.url: str = self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    @property
    def env(self) -> dict[str, str]:
        """What a function that uses it is given."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "SQS_QUEUE_URL": self.url}

    def send(self, body: str) -> None:
        """A message that is none of ours."""
        self._sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def batch(self, wait_s: int = 1) -> list[dict[str, Any]]:
        """The records of the next event, in AWS's spelling of it."""
        found = self._sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["All"],
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:tallybook",
                "awsRegion": REGION,
            }
            for message in found.get("Messages", [])
        ]

    def settle(self, records: list[dict[str, Any]], answer: Any) -> list[str]:
        """Delete what was done; the ids of what comes back: all, when the function failed."""
        everything = [record["messageId"] for record in records]
        failed = (
            [item["itemIdentifier"] for item in answer["batchItemFailures"]]
            if "batchItemFailures" in answer
            else everything
        )
        for record in records:
            if record["messageId"] not in failed:
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=record["receiptHandle"])
        return failed


@contextmanager
def queue(*, fifo: bool = False) -> Iterator[Queue]:
    """A queue on a server of this test's own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Queue(f"http://{host}:{port}", fifo=fifo)
    finally:
        server.stop()


class Function:
    """The deployed function."""

    def __init__(self, env: dict[str, str], stderr: Path) -> None:
        self.stderr = stderr
        with stderr.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.hostile.lambda_process"],
                env={**env, "AWS_LAMBDA_FUNCTION_NAME": "tallybook"},
                cwd=commands.ROOT,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )

    def invoke(self, event: Any, limit_s: float) -> Any:
        """The answer to an event."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"event": event, "limit_s": limit_s}) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, self.stderr.read_text()
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def function(env: dict[str, str], home: Path) -> Iterator[Function]:
    """A function for one test."""
    made = Function(env, home / "lambda.txt")
    try:
        yield made
    finally:
        made.close()
