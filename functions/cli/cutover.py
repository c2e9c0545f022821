"""``tallybook cutover``: move work to another queue, with nothing lost."""

import argparse

from functions.cli.moving import add_patience, mover
from shared.ops.moving import LANDS

NAME = "cutover"
HELP = "move work to another queue; killed at any point, the same command goes on"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--to", required=True, choices=LANDS, help="the queue to move to")
    parser.add_argument("--dry-run", action="store_true", help="print the steps, take none")
    add_patience(parser)


def run(args: argparse.Namespace) -> int:
    """Move, or say how."""
    with mover(args.give_up) as moving:
        if args.dry_run:
            print("\n".join(f"{n}. {step}" for n, step in enumerate(moving.plan(args.to), 1)))
            return 0
        moving.cutover(args.to)
    return 0
