"""``tallybook cron``: who calls the deployment every minute, and what it answered."""

import argparse
import sys
from datetime import datetime, timedelta

import msgspec

from functions.cli.session import opened
from functions.cli.tables import print_jobs
from shared.errors import InvalidInputError
from shared.ops.schedules.base import JobStatus
from shared.ops.schedules.factory import SCHEDULERS, make_scheduler

NAME = "cron"
HELP = "install the cron calls on Supabase or QStash, show their last answers, or remove them"
FAILED = 1
GOOD = range(200, 300)
LATE = timedelta(hours=1)  # the rarest job runs every quarter of an hour


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("what", choices=["install", "status", "remove"])
    parser.add_argument("--on", required=True, choices=SCHEDULERS, help="who makes the calls")
    parser.add_argument("--url", metavar="URL", help="the deployment (default: PUBLIC_URL)")
    parser.add_argument(
        "--apply", action="store_true", help="do it; without, install only prints what it would do"
    )
    parser.add_argument("--json", action="store_true", help="print the status as JSON")


def run(args: argparse.Namespace) -> int:
    """Do it; a status with a job that is missing, is not called, or whose last call failed is 1."""
    if args.apply and args.what == "status":
        message = "--apply belongs to install and remove"
        raise InvalidInputError(message, fix=f"Say tallybook cron status --on {args.on}.")
    with opened(prepare=False) as runtime:
        scheduler = make_scheduler(args.on, runtime.settings, runtime.engine, args.url)
        if args.what == "install":
            if not args.apply:
                sys.stdout.write(scheduler.plan())
                print("nothing was done: add --apply, or run the above yourself", file=sys.stderr)
                return 0
            scheduler.install()
        if args.what == "remove":
            if not args.apply:
                print("nothing was done: add --apply", file=sys.stderr)
                return 0
            scheduler.remove()
        jobs, now = scheduler.status(), runtime.clock.now()
    if args.json:
        sys.stdout.write(msgspec.json.encode(jobs).decode() + "\n")
    else:
        print_jobs(jobs)
    if args.what != "status":
        return 0
    return 0 if all(_is_well(job, now) for job in jobs) else FAILED


def _is_well(job: JobStatus, now: datetime) -> bool:
    """Installed, called lately, and the last call that was answered was answered well."""
    if job.cron is None or not job.calls:
        return False
    last = job.calls[0]
    answered = [call.status for call in job.calls if call.status is not None]
    is_late = now - last.at > LATE
    return (
        not is_late
        and not (last.status is None and last.note)
        and answered[:1] != []
        and (answered[0] in GOOD)
    )
