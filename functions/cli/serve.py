"""``tallybook serve``: the API, and beside it a worker so that a sync started here is done here."""

import argparse
import signal
import sys
from types import FrameType

from functions.app import create_app
from functions.deps import is_loopback
from functions.local_worker import LocalWorker
from shared.errors import TallybookError
from shared.runtime import Runtime
from shared.settings import Settings

NAME = "serve"
HELP = "serve the HTTP API, and work what is due"
FAILED = 1
BAD_USAGE = 2
GRACE_S = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--no-worker", action="store_true", help="serve only; others work")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = Settings.load()
    token = settings.api_token.get_secret_value() if settings.api_token else ""
    if not is_loopback(args.host) and not token:
        print(
            f"tallybook serve: {args.host} can be reached from elsewhere, and no API_TOKEN is set."
            " Set API_TOKEN to a long random text, or leave --host out.",
            file=sys.stderr,
        )
        return BAD_USAGE
    runtime = Runtime.from_settings(settings)
    try:
        runtime.ensure_schema()
        _serve(runtime, args)
    except TallybookError as exc:
        print(f"tallybook serve: {exc.detail}. {exc.how_to_fix}".rstrip(), file=sys.stderr)
        return FAILED
    finally:
        runtime.close()
    return 0


def _serve(runtime: Runtime, args: argparse.Namespace) -> None:
    """Run server and worker until a signal comes, then end both in order."""
    import uvicorn  # noqa: PLC0415 - needed only here

    settings = runtime.settings
    config = uvicorn.Config(
        create_app(runtime),
        host=args.host,
        port=args.port,
        log_level=settings.log_level.lower(),
        timeout_graceful_shutdown=GRACE_S,
    )
    # uvicorn raises the signal again after its shutdown: with these handlers we end by ourselves.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    worker = None if args.no_worker else LocalWorker(runtime)
    if worker:
        worker.start()
    try:
        shown = f"[{args.host}]" if ":" in args.host else args.host
        prefix = settings.api_prefix.rstrip("/")
        print(f"Tallybook: http://{shown}:{args.port}{prefix}/docs", flush=True)
        uvicorn.Server(config).run()
    finally:
        if worker:
            worker.stop()


def _ignore(number: int, frame: FrameType | None) -> None:
    """Let the server end by itself."""
