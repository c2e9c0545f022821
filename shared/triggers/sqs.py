"""``sqs``: a message to a queue of AWS, whose function is our Lambda; needs the extra ``aws``."""

from typing import Any
from urllib.parse import urlsplit

from shared.clock import Deadline
from shared.errors import ConfigError, TriggerError
from shared.triggers.base import Caller, RunCall

TIMEOUT_S = 5


class SqsTrigger:
    """One message a run; a FIFO queue drops a doubled one by its id."""

    def __init__(self, caller: Caller, queue_url: str) -> None:
        self._caller = caller
        self._queue_url = queue_url
        self._client: Any = None

    def fire(self, deadline: Deadline) -> None:
        """See ``Trigger.fire``."""
        deadline.check("a message to SQS")
        call = self._caller.run_call()
        message = {"QueueUrl": self._queue_url, "MessageBody": call.body}
        if self._queue_url.endswith(".fifo"):
            message |= {"MessageGroupId": call.id, "MessageDeduplicationId": call.id}
        try:
            self._opened().send_message(**message)
        except Exception as exc:
            # boto3 makes its classes of errors as it goes: only the name is told, not the request.
            detail = f"SQS did not take a message ({type(exc).__name__})"
            raise TriggerError(detail, fix="Check SQS_QUEUE_URL and the role's rights.") from exc

    def in_closing(self) -> RunCall | None:
        """See ``Trigger.in_closing``."""
        return None

    def closed(self) -> None:
        """See ``Trigger.closed``."""

    def _opened(self) -> Any:
        if self._client is None:
            try:
                import boto3  # noqa: PLC0415 - the extra ``aws``
                from botocore.config import Config  # noqa: PLC0415
            except ImportError as exc:
                detail = "RUN_TRIGGER=sqs needs boto3"
                raise ConfigError(detail, fix="Install tallybook[aws].") from exc
            quick = Config(
                connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"max_attempts": 2}
            )
            # A queue's URL names its region: https://sqs.REGION.amazonaws.com/..
            parts = (urlsplit(self._queue_url).hostname or "").split(".")
            region = parts[1] if parts[0] == "sqs" and len(parts) > 1 else None
            self._client = boto3.client("sqs", region_name=region, config=quick)
        return self._client
