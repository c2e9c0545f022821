"""``tallybook resume``: have work go on."""

import argparse

from functions.cli.moving import mover

NAME = "resume"
HELP = "have work go on"


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments."""
    parser.set_defaults(command=NAME)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - the shape of a command
    """Do it; again, it changes nothing."""
    with mover() as moving:
        moving.resume()
    return 0
