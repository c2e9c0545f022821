"""Where this process runs, and until when its platform lets it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from enum import StrEnum
from importlib import import_module

from shared.settings import Settings

# Copied into the threads that handlers run in.
_told: ContextVar[datetime | None] = ContextVar("tallybook_end", default=None)


class Platform(StrEnum):
    """Who runs this process."""

    VERCEL = "vercel"
    LAMBDA = "lambda"
    RAILWAY = "railway"
    LOCAL = "local"

    @property
    def is_ephemeral(self) -> bool:
        """Whether its instances come and go, without a disk of their own and without IPv6."""
        return self in {Platform.VERCEL, Platform.LAMBDA}


def platform_of(settings: Settings) -> Platform:
    """Who runs this process, by the variables that each platform sets."""
    # Vercel first: its functions are Lambdas underneath.
    if settings.vercel:
        return Platform.VERCEL
    if settings.aws_lambda_function_name:
        return Platform.LAMBDA
    if settings.railway_environment_name:
        return Platform.RAILWAY
    return Platform.LOCAL


@contextmanager
def ending_at(end: datetime) -> Iterator[None]:
    """Within, this is when the invocation ends: for entry points that their caller tells."""
    token = _told.set(end)
    try:
        yield
    finally:
        _told.reset(token)


def told_end(platform: Platform) -> datetime | None:
    """When the platform ends the invocation that is being worked for, where it tells."""
    told = _told.get()
    if told is not None or platform is not Platform.VERCEL:
        return told
    try:
        runtime = import_module("vercel_runtime")  # only in a deployed bundle
    except ModuleNotFoundError:
        return None
    end: datetime | None = runtime.get_deadline()
    return end
