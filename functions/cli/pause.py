"""``tallybook pause``: have nobody claim work any more; the API goes on answering."""

import argparse

from functions.cli.moving import mover

NAME = "pause"
HELP = "have nobody claim work any more; the API goes on answering"


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments."""
    parser.set_defaults(command=NAME)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - the shape of a command
    """Do it; again, it changes nothing."""
    with mover() as moving:
        moving.pause()
    return 0
