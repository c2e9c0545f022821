"""``tallybook source``: read an address from another provider, without a gap or a mixture."""

import argparse
import sys

import msgspec

from functions.cli.session import add_subject, known_address, opened
from functions.cli.sync import PATIENCE_S, positive_seconds
from functions.cli.tables import print_streams
from schema.engine import reading
from schema.queries import generation
from shared.clock import Deadline
from shared.ops.verify import verify
from shared.runtime import Runtime
from shared.sync.progress import StreamProgress, progress
from shared.sync.source_change import begin_change

NAME = "source"
HELP = "change the provider of an address on one chain"
SHORTEST_WAIT_S = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_subject(parser)
    parser.add_argument("--to", required=True, metavar="KEY", help="the new provider")
    parser.add_argument(
        "--give-up",
        type=positive_seconds,
        metavar="SECONDS",
        default=PATIENCE_S,
        help="stop waiting after this long without progress (default %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Fill the new streams beside the live ones, make them live at once, delete the old ones."""
    with opened() as runtime:
        address_id = known_address(runtime, args)
        stream_ids = begin_change(
            runtime.engine, address_id=address_id, chain_id=args.chain, to=args.to
        )
        changed = _filled(runtime, stream_ids, args.give_up)
        while changed and runtime.sync.tidy():
            pass
        streams = progress(runtime.engine, address_id=address_id, chain_ids=[args.chain])
        agrees = verify(runtime.engine).agrees
    done = changed and agrees
    if args.json:
        document = {"done": done, "streams": streams}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        _tell(args.to, streams, done)
    return 0 if done else 1


def _filled(runtime: Runtime, stream_ids: list[int], patience_s: float) -> bool:
    """Work the new streams until they are live; False when nothing came for ``patience_s``."""
    clock = runtime.clock
    moved_at = clock.monotonic()
    while not _are_live(runtime, stream_ids):
        left_s = patience_s - (clock.monotonic() - moved_at)
        if left_s <= 0:
            return False
        report = runtime.sync.step(stream_ids, Deadline.after(clock, runtime.settings.run_budget_s))
        runtime.sync.tidy()
        if any(chunk.pages for chunk in report.chunks):
            moved_at = clock.monotonic()
        elif report.next_due_s is None:
            return _are_live(runtime, stream_ids)
        else:
            pause_s = min(max(report.next_due_s, SHORTEST_WAIT_S), left_s)
            clock.sleep(pause_s, Deadline.after(clock, pause_s + 1))
    return True


def _are_live(runtime: Runtime, stream_ids: list[int]) -> bool:
    """Whether the new streams have taken the place of the old ones."""
    with reading(runtime.engine) as connection:
        return all(generation.is_live(connection, stream_id) for stream_id in stream_ids)


def _tell(to: str, streams: list[StreamProgress], done: bool) -> None:
    print_streams(streams)
    if done:
        print(f"read from {to}; the old streams are deleted; verified: all agree")
    else:
        print(f"not changed to {to} yet: the same command goes on where it was")
