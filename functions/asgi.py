"""The ASGI application for Vercel, uvicorn or any other server."""

import gc

# What is imported stays: looking for garbage among it costs a seventh of a cold start.
gc.disable()

from starlette.applications import Starlette  # noqa: E402

from functions.app import create_app, create_refusing_app  # noqa: E402
from functions.process import tune  # noqa: E402
from shared.errors import ConfigError  # noqa: E402
from shared.runtime import Runtime  # noqa: E402
from shared.settings import Settings  # noqa: E402


def _made() -> Starlette:
    """The application, or one that says which setting keeps it from being made."""
    try:
        return create_app(Runtime.from_settings(Settings.load()))
    except ConfigError as exc:
        return create_refusing_app(exc)


app = _made()
tune()
