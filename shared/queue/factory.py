"""What the runs of many processes have in common: the queue, provider limits, heads.

Nothing else knows which implementation it has.
"""

import uuid
from typing import Literal, NamedTuple

from sqlalchemy import Engine

from shared.clock import Clock
from shared.gate import Pacer, RateGate
from shared.heads import Heads
from shared.queue.base import Queue
from shared.queue.memory import MemoryQueue
from shared.queue.table import TableQueue
from shared.seams import SqlUnit
from shared.settings import Settings
from shared.sources import registry

QueueKind = Literal["memory", "table", "upstash"]


class Commons(NamedTuple):
    """The parts that belong together."""

    queue: Queue
    gate: RateGate
    heads: Heads


def queue_kind(settings: Settings) -> QueueKind:
    """The queue that the settings ask for."""
    return "table" if settings.upstash_redis_rest_url is None else "upstash"


def make_commons(
    settings: Settings, engine: Engine, clock: Clock, kind: QueueKind | None = None
) -> Commons:
    """The parts to work with; ``kind`` goes before what the settings ask for.

    Raises:
        ConfigError: A URL without its token, or one that is no URL.
    """
    heads = Heads(clock)
    match kind or queue_kind(settings):
        case "upstash":
            return _on_upstash(settings, clock, heads)
        case "memory":
            queue: Queue = MemoryQueue(clock)
        case _:
            queue = TableQueue(SqlUnit(engine))
    gate = Pacer(clock, registry.calls_per_s(settings), registry.calls_a_day(settings))
    return Commons(queue, gate, heads)


def _on_upstash(settings: Settings, clock: Clock, heads: Heads) -> Commons:
    """Queue, shares of rates and heads in one Redis, over HTTP."""
    from shared.queue.upstash import UpstashQueue, UpstashShares  # noqa: PLC0415 - as below
    from shared.shares import ShareGate  # noqa: PLC0415 - as below
    from shared.upstash.client import UpstashClient  # noqa: PLC0415 - only who has it pays for it

    client = UpstashClient.of(settings)
    quotas = registry.calls_a_day(settings)
    paced = {
        source: rate
        for source, rate in registry.calls_per_s(settings).items()
        if rate < registry.UNPACED or source in quotas
    }
    gate = ShareGate(clock, UpstashShares(client), uuid.uuid4().hex, paced, quotas)
    return Commons(UpstashQueue(client, clock, gate, heads), gate, heads)
