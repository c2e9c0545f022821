"""``tallybook prices``: the prices of what is held, and ``prices refresh``, which asks for them."""

import argparse
import sys

import msgspec

from functions.cli.session import OWNER, opened
from functions.cli.sync import positive_seconds
from functions.cli.tables import print_prices
from shared.clock import Deadline
from shared.errors import InvalidInputError
from shared.prices.lookup import PriceLine, price_page
from shared.prices.refresh import RefreshReport
from shared.runtime import Runtime

NAME = "prices"
HELP = "show the prices of what is held, or refresh them"
PAGE = 500
BOX_S = 60.0
FAILED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("what", nargs="?", choices=["refresh"], help="ask the providers")
    parser.add_argument(
        "--budget",
        type=positive_seconds,
        default=BOX_S,
        metavar="SECONDS",
        help="box of a refresh (default %(default)g)",
    )
    parser.add_argument(
        "--again", action="store_true", help="ask also for what was given up as spam"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object or list")


def run(args: argparse.Namespace) -> int:
    """Show or refresh; a refresh that left something is 1, and the same command goes on."""
    with opened() as runtime:
        if args.what is None:
            if args.again:
                message = "--again belongs to prices refresh"
                raise InvalidInputError(message, fix="Say tallybook prices refresh --again.")
            _show(_lines(runtime), args)
            return 0
        if args.again:
            runtime.prices.forgive()
        report = runtime.prices.refresh(Deadline.after(runtime.clock, args.budget))
    if args.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        print_refresh(report)
    return FAILED if report.left else 0


def print_refresh(report: RefreshReport) -> None:
    """What was asked and answered, and which provider failed."""
    calls = ", ".join(f"{count} of {key}" for key, count in report.calls.items()) or "none"
    print(
        f"prices: {report.priced} of {report.asked} assets priced, {report.unknown} unknown,"
        f" {report.flagged} flagged, {report.spam} given up as spam, {report.left} left;"
        f" calls: {calls}"
    )
    for problem in report.problems:
        print(f"{problem.detail} ({problem.code})", file=sys.stderr)


def _lines(runtime: Runtime) -> list[PriceLine]:
    found: list[PriceLine] = []
    after_id: int | None = 0
    while after_id is not None:
        page = price_page(
            runtime.engine, OWNER, after_id=after_id, limit=PAGE, freshness=runtime.freshness
        )
        found += page.items
        after_id = None if page.next_cursor is None else int(page.next_cursor)
    return found


def _show(lines: list[PriceLine], args: argparse.Namespace) -> None:
    if args.json:
        sys.stdout.write(msgspec.json.encode(lines).decode() + "\n")
    else:
        print_prices(lines)
