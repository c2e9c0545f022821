"""``tallybook history``: the newest movements of an address on a chain."""

import argparse
import sys

import msgspec

from functions.cli.session import add_subject, known_address, opened, warn_if_incomplete
from functions.cli.tables import print_history
from schema.queries.history import OfAddress
from shared.portfolio.history import HistoryFilter, history_page

NAME = "history"
HELP = "show the movements of a synced address on one chain, the newest first"
PAGE = 500


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_subject(parser)
    parser.add_argument(
        "--limit", type=positive_int, default=50, metavar="N", help="at most so many"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Print movements page by page, so that any number can be asked for."""
    with opened() as runtime:
        address_id = known_address(runtime, args)
        warn_if_incomplete(runtime, address_id, args.chain)
        left, cursor, lines = args.limit, None, []
        while left > 0:
            page = history_page(
                runtime.engine,
                OfAddress(address_id, [args.chain]),
                wanted=HistoryFilter(),
                limit=min(left, PAGE),
                cursor=cursor,
            )
            left -= len(page.items)
            cursor = page.next_cursor
            if args.json:
                for item in page.items:
                    sys.stdout.write(msgspec.json.encode(item).decode() + "\n")
            else:
                lines += page.items
            if cursor is None:
                break
    if not args.json:
        print_history(lines)
    return 0


def positive_int(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r} is not a whole number above zero"
        raise argparse.ArgumentTypeError(message)
    return int(text)
