"""Which cache there is; nothing else knows which one it has.

Here is the place for a Redis over TCP (``redis.py``, the same Protocol and contract suite).
"""

import hashlib

from shared.cache.base import Cache
from shared.cache.memory import MemoryCache
from shared.clock import Clock
from shared.seams import Rng
from shared.settings import Settings

TIMEOUT_S = 0.75  # a cache that is slower than what it saves is none


def make_cache(settings: Settings, clock: Clock, rng: Rng) -> Cache:
    """The cache that the settings ask for: on Upstash when its URL is set, else in memory.

    Raises:
        ConfigError: A URL without its token, or one that is no URL.
    """
    if settings.upstash_redis_rest_url is None:
        return MemoryCache(clock, rng)
    from shared.cache.upstash import UpstashCache  # noqa: PLC0415 - only who has it pays for it
    from shared.upstash.client import UpstashClient  # noqa: PLC0415 - as above

    client = UpstashClient.of(settings, timeout_s=TIMEOUT_S)
    return UpstashCache(client, clock, rng, prefix=f"tallybook:{_ledger_of(settings)}")


def _ledger_of(settings: Settings) -> str:
    """Tells ledgers apart: a preview must not read what production has put into the same Redis."""
    url = settings.database_url
    named = "" if url is None else url.get_secret_value()
    return hashlib.sha256(named.encode()).hexdigest()[:12]
