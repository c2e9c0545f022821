"""Which cache there is; nothing else knows which one it has."""

import hashlib
from typing import TYPE_CHECKING

from shared.cache.base import Cache
from shared.cache.memory import MemoryCache
from shared.clock import Clock
from shared.seams import Rng
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.cache.remote import Commands

TIMEOUT_S = 0.75  # a cache that is slower than what it saves is none


def make_cache(settings: Settings, clock: Clock, rng: Rng) -> Cache:
    """The cache that the settings ask for: where the queue is, and in memory beside a table.

    Raises:
        ConfigError: A URL is missing, without its token, or none.
    """
    client = _client(settings)
    if client is None:
        return MemoryCache(clock, rng)
    from shared.cache.remote import RemoteCache  # noqa: PLC0415 - only who has it pays for it

    return RemoteCache(client, clock, rng, prefix=f"tallybook:{_ledger_of(settings)}")


def _client(settings: Settings) -> "Commands | None":
    if settings.use_bullmq:
        from shared.upstash.tcp import TcpClient  # noqa: PLC0415 - only who has it pays for it

        return TcpClient.of(settings, timeout_s=TIMEOUT_S)
    if settings.upstash_redis_rest_url is None:
        return None
    from shared.upstash.client import UpstashClient  # noqa: PLC0415 - as above

    return UpstashClient.of(settings, timeout_s=TIMEOUT_S)


def _ledger_of(settings: Settings) -> str:
    """Tells ledgers apart: a preview must not read what production has put into the same Redis."""
    url = settings.database_url
    named = "" if url is None else url.get_secret_value()
    return hashlib.sha256(named.encode()).hexdigest()[:12]
