"""``tallybook rollback``: back to where work was before the last cutover."""

import argparse

from functions.cli.moving import add_patience, mover

NAME = "rollback"
HELP = "go back: call a move off, or move back to the queue before"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_patience(parser)


def run(args: argparse.Namespace) -> int:
    """Go back."""
    with mover(args.give_up) as moving:
        moving.rollback()
    return 0
