"""Which scheduler is meant, and what it has to call."""

import re

from sqlalchemy import Engine

from shared.errors import ConfigError
from shared.ops.schedules.base import Scheduler, Target
from shared.settings import Settings

SCHEDULERS = ("supabase", "qstash")
URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?")


def make_scheduler(
    name: str, settings: Settings, engine: Engine, url: str | None = None
) -> Scheduler:
    """The scheduler of this name.

    Args:
        name: One of ``SCHEDULERS``.
        settings: Say what is called, and with which secrets.
        engine: The database, for a scheduler that lives in it.
        url: Where the deployment is reached, without the prefix; by default what the settings say.

    Raises:
        ConfigError: Something that it needs is not set.
    """

    def target() -> Target:
        return _target(settings, url)

    known = _known_url(settings, url)
    shown = (known or "https://YOUR-APP").rstrip("/") + settings.api_prefix.rstrip("/")
    if name == "supabase":
        from shared.ops.schedules.supabase import SupabaseScheduler  # noqa: PLC0415 - only its own

        return SupabaseScheduler(engine, target, shown)
    from shared.ops.schedules.qstash import QstashScheduler  # noqa: PLC0415 - only its own

    if settings.qstash_token is None:
        detail = "--on qstash needs QSTASH_TOKEN"
        raise ConfigError(detail, fix="Set QSTASH_TOKEN; Upstash's console shows it under QStash.")
    return QstashScheduler(
        settings.qstash_token.get_secret_value(), settings.qstash_url, target, shown
    )


def _known_url(settings: Settings, url: str | None) -> str | None:
    """Where the deployment is reached, if that is known.

    Raises:
        ConfigError: It is no URL.
    """
    host = settings.vercel_project_production_url
    found = url or settings.public_url or (f"https://{host}" if host else None)
    if found is not None and not URL.fullmatch(found):
        detail = f"{found!r} is no URL of a deployment"
        raise ConfigError(detail, fix="Say --url https://..")
    return found


def _target(settings: Settings, url: str | None) -> Target:
    """Where the calls go, only ever to a deployment that others can reach."""
    known = _known_url(settings, url)
    if known is None:
        detail = "the URL of the deployment is not known"
        raise ConfigError(detail, fix="Say --url https://.., or set PUBLIC_URL.")
    secret = settings.cron_secret.get_secret_value() if settings.cron_secret else ""
    if not secret:
        detail = "CRON_SECRET is not set: nobody could tell a cron call from a stranger's"
        raise ConfigError(detail, fix="Set the CRON_SECRET that the deployment has.")
    return Target(known.rstrip("/") + settings.api_prefix.rstrip("/"), secret)
