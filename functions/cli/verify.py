"""``tallybook verify``: does the ledger agree with itself?"""

import argparse
import sys
from dataclasses import asdict

import msgspec

from functions.cli.session import opened
from shared.ops.verify import VerifyReport, verify

NAME = "verify"
HELP = "check that every balance is the sum of its movements and that no row is orphaned"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Verify; 0 when everything agrees, 1 when something does not."""
    with opened() as runtime:
        report = verify(runtime.engine)
    if args.json:
        sys.stdout.write(msgspec.json.encode(_document(report)).decode() + "\n")
    else:
        print_report(report)
    return 0 if report.agrees else 1


def print_report(report: VerifyReport) -> None:
    """What was checked, and everything that does not agree."""
    print(f"{report.streams} streams, {report.movements:,} movements, {report.balances:,} balances")
    for wrong in report.mismatches:
        print(
            f"stream {wrong.stream_id} asset {wrong.asset_id}: balance {wrong.amount_held}"
            f" of {wrong.movements_held} movements, but they sum to {wrong.amount_summed}"
            f" of {wrong.movements_counted}"
        )
    for name, count in report.orphans._asdict().items():
        if count:
            print(f"{count} {name.replace('_', ' ')}")
    print("verified: all agree" if report.agrees else "NOT verified")


def _document(report: VerifyReport) -> dict[str, object]:
    """Amounts as text, as everywhere."""
    document = asdict(report)
    document["agrees"] = report.agrees
    document["orphans"] = report.orphans._asdict()
    document["mismatches"] = [
        {
            key: str(value) if key.startswith("amount") else value
            for key, value in wrong._asdict().items()
        }
        for wrong in report.mismatches
    ]
    return document
