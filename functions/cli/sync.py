"""``tallybook sync``: run after run until an address's history is complete on a chain."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import msgspec

from functions.cli.progress_bar import ProgressBar
from functions.cli.session import OWNER, add_subject, opened
from functions.cli.tables import print_balances, print_streams
from schema.types import StreamState
from shared.address import parse_account
from shared.clock import Deadline
from shared.errors import InvalidInputError
from shared.portfolio.balances import BalanceLine, balances
from shared.runtime import Runtime
from shared.sync.chunk import ChunkReport
from shared.sync.progress import StreamProgress, progress
from shared.sync.start import make_due
from shared.sync.watch import watch

NAME = "sync"
HELP = "sync an address on one chain until it is complete"
PATIENCE_S = 120.0
SHORTEST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0  # somebody else may finish the stream meanwhile
AT_REST = frozenset({StreamState.UP_TO_DATE, StreamState.STOPPED, StreamState.DEAD})


@dataclass(slots=True)
class Outcome:
    """What the runs of one sync came to."""

    account: str
    chain_id: int
    streams: list[StreamProgress] = field(default_factory=list)
    chunks: list[ChunkReport] = field(default_factory=list)
    balances: list[BalanceLine] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every stream is up to date."""
        return all(stream.state == StreamState.UP_TO_DATE for stream in self.streams)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_subject(parser)
    parser.add_argument("--source", metavar="KEY", help="provider for a new address")
    parser.add_argument(
        "--budget",
        type=positive_seconds,
        metavar="SECONDS",
        help="box of each run; default RUN_BUDGET_S",
    )
    parser.add_argument(
        "--give-up",
        type=positive_seconds,
        metavar="SECONDS",
        default=PATIENCE_S,
        help="stop waiting for a provider after this long without progress (default %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Sync; 0 when every stream is up to date, 1 when one failed or was given up waiting for."""
    account = parse_account(args.address)
    with opened() as runtime:
        address_id = start(runtime, account, args.chain, args.source)
        bar: AbstractContextManager[object] = nullcontext()
        if sys.stderr.isatty() and not args.json:
            bar = ProgressBar(runtime.engine, address_id, args.chain)
        with bar:
            outcome = sync(
                runtime,
                address_id,
                Outcome(account, args.chain),
                budget_s=args.budget or runtime.settings.run_budget_s,
                patience_s=args.give_up,
            )
    if args.json:
        sys.stdout.write(msgspec.json.encode(document(outcome)).decode() + "\n")
    else:
        print_streams(outcome.streams)
        print_balances(outcome.balances)
    return 0 if outcome.complete else 1


def start(runtime: Runtime, account: str, chain_id: int, source: str | None) -> int:
    """Watch the address as the local owner's and make its streams due; returns its id.

    Raises:
        InvalidInputError: Another source than the one asked for has begun already.
    """
    watched = watch(
        runtime.engine,
        owner=OWNER,
        account=account,
        chain_ids=[chain_id],
        label=None,
        source=source,
        settings=runtime.settings,
        clock=runtime.clock,
    )
    address_id = watched.wallet.address_id
    streams = progress(runtime.engine, address_id=address_id, chain_ids=[chain_id])
    others = sorted({stream.source for stream in streams} - {source}) if source else []
    if others:
        message = (
            f"this address is synced from {', '.join(others)} on chain {chain_id}, not {source}"
        )
        raise InvalidInputError(
            message, fix="Leave --source out, or change it: tallybook source ADDRESS --to KEY."
        )
    make_due(runtime.engine, address_id=address_id, chain_ids=[chain_id])
    return address_id


def sync(
    runtime: Runtime, address_id: int, outcome: Outcome, *, budget_s: float, patience_s: float
) -> Outcome:
    """Repeat runs until nothing is left to do, or nothing has come for ``patience_s``."""
    clock = runtime.clock
    moved_at = clock.monotonic()
    # What was up to date before is to be looked at too: there may be new blocks.
    looked_at: set[int] = set()
    while True:
        streams = progress(runtime.engine, address_id=address_id, chain_ids=[outcome.chain_id])
        busy = [
            stream.stream_id
            for stream in streams
            if stream.state not in AT_REST
            or (stream.state == StreamState.UP_TO_DATE and stream.stream_id not in looked_at)
        ]
        left_s = patience_s - (clock.monotonic() - moved_at)
        if not busy or left_s <= 0:
            break
        report = runtime.sync.step(busy, Deadline.after(clock, budget_s))
        outcome.chunks += report.chunks
        # Without a chunk nothing was due: somebody else has just looked.
        looked_at |= {chunk.stream_id for chunk in report.chunks} or set(busy)
        if any(chunk.pages for chunk in report.chunks):
            moved_at = clock.monotonic()
        elif report.next_due_s:
            pause_s = min(max(report.next_due_s, SHORTEST_WAIT_S), LONGEST_WAIT_S, left_s)
            clock.sleep(pause_s, Deadline.after(clock, pause_s + 1))
    outcome.streams = streams
    outcome.balances = balances(runtime.engine, address_id=address_id, chain_ids=[outcome.chain_id])
    return outcome


def document(outcome: Outcome) -> dict[str, object]:
    """The one object that ``--json`` prints."""
    return {
        "address": outcome.account,
        "chain_id": outcome.chain_id,
        "streams": [_stream(stream, outcome.chunks) for stream in outcome.streams],
        "chunks": len(outcome.chunks),
        "longest_chunk_s": round(max((chunk.seconds for chunk in outcome.chunks), default=0.0), 3),
        "balances": [_balance(line) for line in outcome.balances],
    }


def _stream(stream: StreamProgress, chunks: Sequence[ChunkReport]) -> dict[str, object]:
    return {
        "kind": stream.kind,
        "state": stream.state,
        "movements": stream.movements,
        "chunks": sum(chunk.stream_id == stream.stream_id for chunk in chunks),
        "cursor_block": stream.blocks_done - 1,
        "error": stream.error,
    }


def _balance(line: BalanceLine) -> dict[str, object]:
    return {
        "contract": line.contract,
        "symbol": line.symbol,
        "decimals": line.decimals,
        "token_id": line.token_id,
        "amount_raw": line.amount_raw,
        "gaps": line.gaps,
    }


def positive_seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        message = f"{text!r} is not a number of seconds above zero"
        raise argparse.ArgumentTypeError(message)
    return seconds
