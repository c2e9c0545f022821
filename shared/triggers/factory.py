"""Which trigger this deployment has; nothing else knows."""

from pydantic import SecretStr
from sqlalchemy import Engine

from shared import auth
from shared.clock import Clock
from shared.errors import ConfigError
from shared.settings import Settings
from shared.triggers.base import Caller, NoTrigger, Trigger

CHUNK_PATH = "/internal/chunk"


def make_trigger(settings: Settings, engine: Engine, clock: Clock) -> Trigger:
    """The trigger that the settings ask for.

    Raises:
        ConfigError: Something that it needs is not set.
    """
    kind = settings.run_trigger or ("self" if settings.vercel_project_production_url else "none")
    if kind == "none":
        return NoTrigger()
    caller = _caller(settings, clock, kind)
    match kind:
        case "postgres":
            from shared.triggers.postgres import PostgresTrigger  # noqa: PLC0415 - only its own

            if engine.dialect.name == "sqlite":
                detail = "RUN_TRIGGER=postgres needs a Postgres database"
                raise ConfigError(detail, fix="Set DATABASE_URL, or choose another RUN_TRIGGER.")
            return PostgresTrigger(caller, engine)
        case "qstash":
            from shared.triggers.qstash import QstashTrigger  # noqa: PLC0415 - only its own

            token = _needed(_text(settings.qstash_token), kind, "QSTASH_TOKEN")
            return QstashTrigger(
                caller, token=token, url=settings.qstash_url, at_once=settings.max_runs
            )
        case "sqs":
            from shared.triggers.sqs import SqsTrigger  # noqa: PLC0415 - only its own

            return SqsTrigger(caller, _needed(settings.sqs_queue_url, kind, "SQS_QUEUE_URL"))
        case _:
            from shared.triggers.self_call import SelfTrigger  # noqa: PLC0415 - only its own

            bypass = _text(settings.vercel_automation_bypass_secret)
            return SelfTrigger(caller, bypass_secret=bypass)


def public_url(settings: Settings) -> str | None:
    """Where this deployment is reached: a preview's own URL would need its protection."""
    host = settings.vercel_project_production_url
    return settings.public_url or (f"https://{host}" if host else None)


def _caller(settings: Settings, clock: Clock, kind: str) -> Caller:
    """Who makes the calls."""
    url = public_url(settings)
    if kind == "sqs":
        url = url or "https://unused.invalid"  # the message goes to the queue, not to a URL
    key = auth.chunk_key(_needed(_text(settings.cron_secret), kind, "CRON_SECRET"))
    path = settings.api_prefix.rstrip("/") + CHUNK_PATH
    return Caller(clock, key, _needed(url, kind, "PUBLIC_URL"), path)


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _needed(value: str | None, kind: str, variable: str) -> str:
    if not value:
        detail = f"RUN_TRIGGER={kind} needs {variable}"
        raise ConfigError(detail, fix=f"Set {variable}, or RUN_TRIGGER=none.")
    return value
