"""What was called of each provider today, and what its plan allows."""

from datetime import datetime
from typing import Literal

import msgspec

from shared.gate import RateGate
from shared.settings import Settings
from shared.sources import registry


class SourceUsage(msgspec.Struct, frozen=True):
    """One provider's calls of the present day (UTC).

    ``limit`` and ``left`` are null where no daily limit is known or set; at ``resets_at`` the count
    begins anew.
    """

    source: str
    used: int
    limit: int | None
    left: int | None
    resets_at: datetime


class UsageReport(msgspec.Struct, frozen=True):
    """All providers; ``counted`` says whose calls: of all processes, or of the one that answers."""

    counted: Literal["all", "process"]
    items: list[SourceUsage]


def usage(gate: RateGate, settings: Settings) -> UsageReport:
    """What was called of every provider, in the order of the tables.

    Raises:
        RedisError: It is counted on Upstash, which cannot be reached.
    """
    limits = registry.calls_a_day(settings)
    found = gate.usage(list(registry.calls_per_s(settings)))
    items = []
    for source, used in found.calls.items():
        limit = limits.get(source)
        left = None if limit is None else max(0, limit - used)
        items.append(SourceUsage(source, used, limit, left, found.resets_at))
    return UsageReport("all" if found.for_all else "process", items)
