"""``tallybook usage``: how much of each provider's daily quota is used."""

import argparse
import sys

import msgspec

from functions.cli.session import opened
from functions.cli.tables import print_usage
from shared.ops.usage import usage

NAME = "usage"
HELP = "show the calls made of each provider today, and its daily limit"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Show it; without Upstash each process counts for itself, and this one has just begun."""
    with opened(prepare=False) as runtime:
        report = usage(runtime.seams.gate, runtime.settings)
    if args.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return 0
    print_usage(report)
    if report.counted == "process":
        print(
            "without Upstash each process counts its own calls: ask the one that works,"
            " GET /api/usage",
            file=sys.stderr,
        )
    return 0
