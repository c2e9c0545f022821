"""``tallybook worker``: the long-running worker, as on Railway."""

import argparse

from functions.cli.session import opened
from functions.process import tune

NAME = "worker"
HELP = "work what is due until told to end; health and metrics on a port"
PORT = 9000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="where health and metrics are served")
    parser.add_argument(
        "--port", type=int, default=None, help=f"0: any free one (default: PORT, else {PORT})"
    )


def run(args: argparse.Namespace) -> int:
    """Work until a signal comes."""
    from functions.metrics import Metrics  # noqa: PLC0415 - of the extra worker
    from functions.worker import Worker  # noqa: PLC0415 - as above

    tune()
    with opened() as runtime:
        metrics = Metrics(runtime)
        port = runtime.settings.port or PORT if args.port is None else args.port
        server = metrics.serve(args.host, port)
        print(f"health: http://{args.host}:{server.server_address[1]}/health/ready", flush=True)
        code = Worker(runtime, metrics).run()
        server.shutdown()
    return code
