"""The ``upstash-redis`` client, with its defects fenced in this one place.

Seen in 1.8.0: it sets no timeout; it repeats a call after any exception, so every script here may
run twice with one outcome; a bad token on a pipeline raises AttributeError; one failed command of a
pipeline hides the others' answers. So one script is one call, never a pipeline, and whatever goes
wrong becomes a ``RedisError`` of ours.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from upstash_redis import Redis
from upstash_redis.errors import UpstashError

from shared.errors import ConfigError, RedisError, RedisRefusedError, RedisUnreachableError
from shared.settings import Settings
from shared.upstash.scripts import KEY_LOCKING, KEYS, script

TIMEOUT_S = 4.0
REPEATS = 1
PAUSE_S = 0.25
UPSTASH_HOSTS = ".upstash.io"
REFUSED_TOKEN = "WRONGPASS"  # noqa: S105 - how its answer begins
FIX = (
    "Check UPSTASH_REDIS_REST_URL (or KV_REST_API_URL), and in Upstash's console that this database"
    " is still there; the sync goes on by itself once it answers."
)


class UpstashClient:
    """Runs the product's scripts and plain commands; counts its calls."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        prefix: str = "tallybook",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            detail = "UPSTASH_REDIS_REST_URL is not an http(s) URL"
            raise ConfigError(detail, fix="Copy it from the REST API section of the console.")
        self.calls = 0
        self._redis = Redis(
            url.rstrip("/"),
            token,
            rest_retries=REPEATS,
            rest_retry_interval=PAUSE_S,
            allow_telemetry=False,
        )
        self._redis._http._client.timeout = httpx.Timeout(timeout_s)  # noqa: SLF001 - no other way
        self._head = KEY_LOCKING if parts.hostname.endswith(UPSTASH_HOSTS) else ""
        # One hash tag: a script's keys must lie together.
        self.keys = [f"{{{prefix}}}:{key}" for key in KEYS]

    @classmethod
    def of(cls, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> "UpstashClient":
        """The client of the Redis that the settings name.

        Raises:
            ConfigError: A URL without its token, or one that is no URL.
        """
        url, token = settings.upstash_redis_rest_url, settings.upstash_redis_rest_token
        if url is None or token is None:
            detail = "UPSTASH_REDIS_REST_TOKEN is not set, although UPSTASH_REDIS_REST_URL is"
            raise ConfigError(detail, fix="Copy both from the console, or unset both.")
        return cls(url, token.get_secret_value(), timeout_s=timeout_s)

    def script(self, name: str, ask: Mapping[str, Any]) -> Any:
        """Run one of our scripts; what it answers, read from its JSON.

        Raises:
            RedisError: No answer, or a refusal. Whether the script ran may be unknown.
        """
        text = self._head + script(name)
        answer = self.command(
            "EVAL", text, str(len(self.keys)), *self.keys, json.dumps(ask, separators=(",", ":"))
        )
        return json.loads(answer)

    def command(self, *words: str) -> Any:
        """Run one plain command; it must be one that may run twice.

        Raises:
            RedisError: No answer, or a refusal.
        """
        self.calls += 1
        try:
            return self._redis.execute(list(words))
        except UpstashError as exc:
            detail = str(exc)[:200]
            if detail.startswith(REFUSED_TOKEN):
                fix = "Copy UPSTASH_REDIS_REST_TOKEN from the console; a read-only one will not do."
                raise RedisRefusedError(detail, fix=fix) from None
            raise RedisRefusedError(detail) from None
        except httpx.HTTPError as exc:
            # Only the class: a library's own message may hold the URL.
            detail = f"Upstash did not answer ({type(exc).__name__})"
            raise RedisUnreachableError(detail, fix=FIX) from None
        except (ValueError, KeyError, AttributeError, TypeError) as exc:
            # An answer that is not the protocol's: a proxy's page, a cut body.
            detail = f"Upstash answered nonsense ({type(exc).__name__})"
            raise RedisError(detail, fix=FIX) from exc

    def close(self) -> None:
        """Close its connections."""
        self._redis._http._client.close()  # noqa: SLF001 - its own close is untyped
