"""Logging: one line a record, fields after the message, and no library that prints our keys."""

import logging
import sys

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# httpx logs whole URLs, and with them the API keys in their queries.
TALKATIVE = ("httpx", "httpcore", "alembic")


class LineFormatter(logging.Formatter):
    """``12:00:00 INFO sync chunk done stream_id=7``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; the fields given as ``extra`` come last."""
        line = super().format(record)
        extra = {key: value for key, value in record.__dict__.items() if key not in STANDARD}
        return " ".join([line, *(f"{key}={value}" for key, value in extra.items())])


def set_up_logging(level: str = "WARNING") -> None:
    """Log to stderr, so that stdout carries results only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        LineFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", "%H:%M:%S")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
