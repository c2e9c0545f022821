"""What the commands that move work have in common."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from functions.cli.session import opened
from shared.ops.moving import Mover

PATIENCE_S = 600.0


def add_patience(parser: argparse.ArgumentParser) -> None:
    """How long to wait for others."""
    parser.add_argument(
        "--give-up",
        type=float,
        metavar="SECONDS",
        default=PATIENCE_S,
        help="stop waiting for work under way after this (default %(default)g); nothing is lost",
    )


@contextmanager
def mover(give_up_s: float = PATIENCE_S) -> Iterator[Mover]:
    """A mover on the configured database that says what it does."""
    with opened() as runtime:
        yield Mover(
            runtime.settings,
            runtime.engine,
            runtime.clock,
            say=lambda line: print(line, flush=True),
            give_up_s=give_up_s,
        )
