"""``tallybook drain``: wait until nobody works."""

import argparse

from functions.cli.moving import add_patience, mover

NAME = "drain"
HELP = "wait until nobody works on any stream (after tallybook pause)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_patience(parser)


def run(args: argparse.Namespace) -> int:
    """Wait."""
    with mover(args.give_up) as moving:
        moving.drain()
    return 0
