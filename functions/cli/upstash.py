"""``tallybook emulate upstash``: Upstash's REST protocol over a local Redis, or in this process."""

import argparse
import signal
import sys
from types import FrameType

from shared.errors import ConfigError

HELP = "Upstash's REST protocol over a Redis or Valkey of yours, or in this process"
ABOUT = f"""{HELP}.

Without --redis-url the data is kept in this process by fakeredis (pip install
'tallybook[emulator]'). That is not the real thing: scripts have redis.call, TIME and cjson but no
cmsgpack, struct, bit or redis.sha1hex; there is no EVAL_RO, INFO, OBJECT, CONFIG or JSON.*.
GET /__emulator/stats shows what was called and billed; POST /__emulator/faults, /empty, /refuse
and /stats/reset make things go wrong, without a token: keep it on this machine.
"""
BAD_USAGE = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = ABOUT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="0 takes a free one")
    parser.add_argument("--token", default="local-token", metavar="T", help="what callers show")
    parser.add_argument("--read-only-token", metavar="T", help="another, for reads only")
    parser.add_argument("--redis-url", metavar="URL", help="redis://, rediss:// or unix://")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from shared.emulator.upstash.server import LocalUpstash, make_backend  # noqa: PLC0415 - heavy

    try:
        backend = make_backend(args.redis_url)
        upstash = LocalUpstash(
            backend,
            token=args.token,
            read_only_token=args.read_only_token,
            host=args.host,
            port=args.port,
        )

        def announce() -> None:
            lines = [
                f"UPSTASH_REDIS_REST_URL={upstash.url}",
                f"UPSTASH_REDIS_REST_TOKEN={upstash.token}",
                f"# over {backend.name}",
                "ready",
            ]
            print(*lines, sep="\n", flush=True)

        def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
            upstash.stop()

        # uvicorn raises the signal again after its shutdown: with these that ends in exit 0.
        before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            upstash.run(announce)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    except ConfigError as exc:
        print(f"tallybook emulate: {exc.detail}", file=sys.stderr)
        return BAD_USAGE
    return 0
