"""The same scripts and commands as ``UpstashClient``, on a Redis that is reached over TCP."""

import json
from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as DriverConnectionError
from redis.exceptions import RedisError as DriverError
from redis.exceptions import TimeoutError as DriverTimeoutError

from shared.errors import ConfigError, RedisError, RedisRefusedError, RedisUnreachableError
from shared.redis import cleaned
from shared.settings import Settings
from shared.upstash.scripts import KEYS, script

TIMEOUT_S = 4.0
FIX = "Check REDIS_URL, and that the Redis behind it is up, writable and of version 6 or newer."


class TcpClient:
    """Runs the product's scripts and plain commands; from any thread."""

    def __init__(
        self, url: str, *, prefix: str = "tallybook", timeout_s: float = TIMEOUT_S
    ) -> None:
        self.calls = 0
        self._redis = Redis.from_url(
            cleaned(url),
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
        )
        self.keys = [f"{{{prefix}}}:{key}" for key in KEYS]

    @classmethod
    def of(cls, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> "TcpClient":
        """The client of the Redis that the settings name.

        Raises:
            ConfigError: None is named, or the URL is none.
        """
        return cls(redis_url(settings), timeout_s=timeout_s)

    def script(self, name: str, ask: Mapping[str, Any]) -> Any:
        """Run one of our scripts; what it answers, read from its JSON.

        Raises:
            RedisError: No answer, or a refusal. Whether the script ran may be unknown.
        """
        told = json.dumps(ask, separators=(",", ":"))
        return json.loads(self.command("EVAL", script(name), str(len(self.keys)), *self.keys, told))

    def command(self, *words: str) -> Any:
        """Run one plain command; it must be one that may run twice.

        Raises:
            RedisError: No answer, or a refusal.
        """
        self.calls += 1
        try:
            return self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except (DriverConnectionError, DriverTimeoutError, OSError) as exc:
            # Only the class: a library's own message may hold the URL.
            detail = f"Redis did not answer ({type(exc).__name__})"
            raise RedisUnreachableError(detail, fix=FIX) from None
        except DriverError as exc:
            detail = f"Redis refused: {str(exc)[:200]}"
            raise RedisRefusedError(detail, fix=FIX) from None
        except (ValueError, UnicodeDecodeError) as exc:
            detail = f"Redis answered nonsense ({type(exc).__name__})"
            raise RedisError(detail) from exc

    def close(self) -> None:
        """Close its connections."""
        self._redis.close()


def redis_url(settings: Settings) -> str:
    """The Redis that the settings name.

    Raises:
        ConfigError: None.
    """
    if settings.redis_url is None:
        detail = "USE_BULLMQ=true needs REDIS_URL"
        fix = "Set REDIS_URL to the Redis of this deployment, or USE_BULLMQ=false."
        raise ConfigError(detail, fix=fix)
    return settings.redis_url.get_secret_value()
