"""Which queue this process works with; nothing else knows."""

from typing import Literal

from sqlalchemy import Engine

from shared.clock import Clock
from shared.queue.base import Queue
from shared.queue.memory import MemoryQueue
from shared.queue.table import TableQueue
from shared.seams import SqlUnit
from shared.settings import Settings

QueueKind = Literal["memory", "table"]


def queue_kind(settings: Settings) -> QueueKind:  # noqa: ARG001 - the settings name the others
    """The queue that the settings ask for: upstash and bullmq will join here."""
    return "table"


def make_queue(
    settings: Settings, engine: Engine, clock: Clock, kind: QueueKind | None = None
) -> Queue:
    """The queue to work with; ``kind`` goes before what the settings ask for."""
    match kind or queue_kind(settings):
        case "memory":
            return MemoryQueue(clock)
        case "table":
            return TableQueue(SqlUnit(engine))
