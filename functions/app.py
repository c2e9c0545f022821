"""The HTTP application: routers and error handlers, nothing else."""

import logging

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from functions.api import (
    health,
    internal,
    internal_prices,
    live,
    portfolio,
    prices,
    sync,
    usage,
    wallets,
)
from functions.guard import Guard
from functions.openapi import describe
from functions.problems import add_problem_handlers, problem
from shared.errors import ConfigError
from shared.runtime import Runtime

log = logging.getLogger(__name__)

DESCRIPTION = (
    "Complete history and exact balances of wallets. Amounts are whole numbers of the smallest"
    " unit as decimal texts. Errors are RFC 9457 problem documents with stable codes."
)


def create_app(runtime: Runtime) -> FastAPI:
    """The application over a runtime; it touches neither database nor network by itself."""
    prefix = runtime.settings.api_prefix.rstrip("/")
    app = FastAPI(
        title="Tallybook",
        version="1",
        description=DESCRIPTION,
        docs_url=f"{prefix}/docs",
        redoc_url=None,
        openapi_url=f"{prefix}/openapi.json",
    )
    app.state.runtime = runtime
    app.add_middleware(Guard)
    add_problem_handlers(app)
    modules = (health, wallets, sync, live, portfolio, prices, usage, internal, internal_prices)
    for module in modules:
        app.include_router(module.router, prefix=prefix)
    describe(app, [model for module in modules for model in module.MODELS])
    return app


class _Refusal:
    """Answers every call with what is wrong with the settings."""

    def __init__(self, error: ConfigError) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ``ASGIApp``."""
        error = self._error
        answer = problem(scope, 503, error.code, error.detail, fix=error.how_to_fix)
        await answer(scope, receive, send)


def create_refusing_app(error: ConfigError) -> Starlette:
    """The application of a deployment that cannot be one: its operator reads why in any answer."""
    log.error("nothing can be served: %s. %s", error.detail, error.how_to_fix)
    app = Starlette(routes=[Route("/{path:path}", _Refusal(error))])
    app.add_middleware(Guard)
    return app
