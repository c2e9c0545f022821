"""Which scheduler is meant, and what it has to call."""

from sqlalchemy import Engine

from shared.errors import ConfigError
from shared.ops.schedules.base import Scheduler, Target
from shared.settings import Settings

SCHEDULERS = ("supabase", "qstash")


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

    if name == "supabase":
        from shared.ops.schedules.supabase import SupabaseScheduler  # noqa: PLC0415 - only its own

        return SupabaseScheduler(engine, target)
    from shared.ops.schedules.qstash import QstashScheduler  # noqa: PLC0415 - only its own

    if settings.qstash_token is None:
        detail = "--on qstash needs QSTASH_TOKEN"
        raise ConfigError(detail, fix="Set QSTASH_TOKEN; Upstash's console shows it under QStash.")
    return QstashScheduler(settings.qstash_token.get_secret_value(), settings.qstash_url, target)


def _target(settings: Settings, url: str | None) -> Target:
    """Where the calls go, only ever to a deployment that others can reach."""
    host = settings.vercel_project_production_url
    url = url or settings.public_url or (f"https://{host}" if host else None)
    if not url:
        detail = "the URL of the deployment is not known"
        raise ConfigError(detail, fix="Say --url https://.., or set PUBLIC_URL.")
    if not url.startswith(("https://", "http://")):
        detail = f"{url!r} is no URL"
        raise ConfigError(detail, fix="Say --url https://..")
    secret = settings.cron_secret.get_secret_value() if settings.cron_secret else ""
    if not secret:
        detail = "CRON_SECRET is not set: nobody could tell a cron call from a stranger's"
        raise ConfigError(detail, fix="Set the CRON_SECRET that the deployment has.")
    return Target(url.rstrip("/") + settings.api_prefix.rstrip("/"), secret)
