"""The HTTP application: routers and error handlers, nothing else."""

from fastapi import FastAPI

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
from functions.problems import add_problem_handlers
from shared.runtime import Runtime

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
