"""The ASGI application for Vercel, uvicorn or any other server."""

from functions.app import create_app
from functions.process import tune
from shared.runtime import Runtime
from shared.settings import Settings

app = create_app(Runtime.from_settings(Settings.load()))
tune()
