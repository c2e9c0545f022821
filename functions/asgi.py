"""The ASGI application for Vercel, uvicorn or any other server."""

import gc

# What is imported stays: looking for garbage among it costs a seventh of a cold start.
gc.disable()

from functions.app import create_app  # noqa: E402
from functions.process import tune  # noqa: E402
from shared.runtime import Runtime  # noqa: E402
from shared.settings import Settings  # noqa: E402

app = create_app(Runtime.from_settings(Settings.load()))
tune()
