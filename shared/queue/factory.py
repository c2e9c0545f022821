"""What the runs of many processes have in common: the queue, provider limits, heads.

Nothing else knows which implementation it has.
"""

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import Engine

from shared.clock import Clock
from shared.gate import Pacer, RateGate
from shared.heads import Heads
from shared.queue.base import Queue
from shared.queue.memory import MemoryQueue
from shared.queue.switched import Switchboard, SwitchedQueue
from shared.queue.table import TableQueue
from shared.seams import SqlUnit
from shared.settings import Settings
from shared.sources import registry

if TYPE_CHECKING:
    from shared.shares import ShareGate, ShareLedger

POLL_S = 1.0
QueueKind = Literal["memory", "table", "upstash", "bullmq"]


class Commons(NamedTuple):
    """The parts that belong together.

    ``wait(seconds)`` returns when something may be claimable, at the latest after so long;
    ``close()`` gives connections back. ``board`` says whether this process may work.
    """

    queue: Queue
    gate: RateGate
    heads: Heads
    wait: Callable[[float], None]
    close: Callable[[], None] = lambda: None
    board: Switchboard | None = None


def queue_kind(settings: Settings) -> QueueKind:
    """The queue that the settings ask for."""
    if settings.use_bullmq:
        return "bullmq"
    return "table" if settings.upstash_redis_rest_url is None else "upstash"


def make_commons(
    settings: Settings, engine: Engine, clock: Clock, kind: QueueKind | None = None
) -> Commons:
    """The parts to work with: those that the settings ask for, worked only while they are active.

    With ``kind`` those of that kind, as they are, whatever the switch says.

    Raises:
        ConfigError: A URL without its token, or one that is no URL.
    """
    if kind is None:
        own = queue_kind(settings)
        commons = make_commons(settings, engine, clock, own)
        board = Switchboard(own, SqlUnit(engine), clock)
        return commons._replace(queue=SwitchedQueue(commons.queue, board), board=board)
    heads = Heads(clock)
    match kind:
        case "upstash":
            return _on_upstash(settings, clock, heads)
        case "bullmq":
            return _on_bullmq(settings, clock, heads)
        case "memory":
            queue: Queue = MemoryQueue(clock)
        case _:
            queue = TableQueue(SqlUnit(engine))
    gate = Pacer(clock, registry.calls_per_s(settings), registry.calls_a_day(settings))
    return Commons(queue, gate, heads, _poll)


def _on_upstash(settings: Settings, clock: Clock, heads: Heads) -> Commons:
    """Queue, shares of rates and heads in one Redis, over HTTP."""
    from shared.queue.upstash import UpstashQueue, UpstashShares  # noqa: PLC0415 - as below
    from shared.upstash.client import UpstashClient  # noqa: PLC0415 - only who has it pays for it

    client = UpstashClient.of(settings)
    gate = _shared_gate(settings, clock, UpstashShares(client))
    return Commons(UpstashQueue(client, clock, gate, heads), gate, heads, _poll, client.close)


def _on_bullmq(settings: Settings, clock: Clock, heads: Heads) -> Commons:
    """The queue on a Redis over TCP, and shares of rates in the same Redis."""
    from shared.queue.bullmq import BullmqQueue  # noqa: PLC0415 - as above
    from shared.queue.upstash import UpstashShares  # noqa: PLC0415 - as above
    from shared.upstash.tcp import TcpClient, redis_url  # noqa: PLC0415 - as above

    queue, client = BullmqQueue(redis_url(settings)), TcpClient.of(settings)

    def close() -> None:
        queue.close()
        client.close()

    gate = _shared_gate(settings, clock, UpstashShares(client))
    return Commons(queue, gate, heads, queue.wait, close)


def _shared_gate(settings: Settings, clock: Clock, shares: "ShareLedger") -> "ShareGate":
    """Each provider's rate and day, shared with all other processes."""
    from shared.shares import ShareGate  # noqa: PLC0415 - as above

    quotas = registry.calls_a_day(settings)
    paced = {
        source: rate
        for source, rate in registry.calls_per_s(settings).items()
        if rate < registry.UNPACED or source in quotas
    }
    return ShareGate(clock, shares, uuid.uuid4().hex, paced, quotas)


def _poll(seconds: float) -> None:
    """Wait for a queue that tells nobody: look again soon."""
    time.sleep(min(seconds, POLL_S))  # noqa: TID251 - of a process that has nothing else to do
