"""The Lambda function in a process of its own: an event a line comes in, an answer a line goes out.

A line holds ``{"event": .., "limit_s": ..}``. An exception is answered as Lambda does it:
``{"errorType": ..}``. As long as a platform keeps its instance, several events meet one process.
"""

import json
import sys
import time
from importlib import import_module
from typing import Any


class Context:
    """What Lambda tells of an invocation."""

    function_name = "tallybook"
    aws_request_id = "8b7d4a4d"

    def __init__(self, limit_s: float) -> None:
        self._end = time.monotonic() + limit_s

    def get_remaining_time_in_millis(self) -> int:
        """Until the invocation is killed."""
        return max(0, int((self._end - time.monotonic()) * 1000))


def main() -> None:
    """Answer until the input ends."""
    handler: Any = import_module("functions.aws_lambda").handler
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = handler(asked["event"], Context(asked["limit_s"]))
        except Exception as exc:  # noqa: BLE001 - told, as Lambda does
            answer = {"errorType": type(exc).__name__, "errorMessage": str(exc)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
