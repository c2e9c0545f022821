"""``tallybook balances``: what an address holds on a chain."""

import argparse
import sys

import msgspec

from functions.cli.session import add_subject, known_address, opened, warn_if_incomplete
from functions.cli.tables import print_balances
from shared.portfolio.balances import balances
from shared.portfolio.valuation import valued

NAME = "balances"
HELP = "show what a synced address holds on one chain"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_subject(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(args: argparse.Namespace) -> int:
    """Print the balances; zero ones are left out."""
    with opened() as runtime:
        address_id = known_address(runtime, args)
        warn_if_incomplete(runtime, address_id, args.chain)
        lines = valued(
            runtime.engine,
            balances(runtime.engine, address_id=address_id, chain_ids=[args.chain]),
            address_id=address_id,
            chain_ids=[args.chain],
            freshness=runtime.freshness,
        )
    if args.json:
        sys.stdout.write(msgspec.json.encode(lines).decode() + "\n")
    else:
        print_balances(lines)
    return 0
