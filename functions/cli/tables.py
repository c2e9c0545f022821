"""Results as tables for a person."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.money import scaled
from shared.portfolio.balances import BalanceLine
from shared.portfolio.history import HistoryLine
from shared.sources.catalog import chain_info
from shared.sync.progress import StreamProgress

LONGEST_SYMBOL = 16
PIPE_COLUMNS = 120


def print_streams(streams: Sequence[StreamProgress]) -> None:
    """One line a stream; what went wrong, and what to do about it, below."""
    table = Table("stream", "source", "state", "movements", "blocks", "anchor", title="Streams")
    for stream in streams:
        blocks = f"{stream.blocks_done:,} of {stream.blocks_known or 0:,}"
        table.add_row(
            stream.kind, stream.source, stream.state, f"{stream.movements:,}", blocks, stream.anchor
        )
    console = new_console()
    console.print(table)
    for stream in streams:
        if stream.error is not None:
            error = stream.error
            console.print(escape(f"{stream.kind}: {error.detail} ({error.code}). {error.fix}"))


def print_balances(lines: Sequence[BalanceLine], *, with_chain: bool = False) -> None:
    """One line an asset: the exact amount in whole coins, and what the feeds cannot know of it."""
    table = Table(title="Balances")
    table.add_column("asset", no_wrap=True)
    table.add_column("amount", overflow="fold")  # junk tokens have 78 digits
    table.add_column("contract", no_wrap=True)
    table.add_column("not known")
    for line in lines:
        place = short(line.contract) if line.contract else "native"
        chain = f" on {chain_info(line.chain_id).name}" if with_chain else ""
        token = f" #{shown(line.token_id)}" if line.token_id is not None else ""
        amount = scaled(int(line.amount_raw), line.decimals)
        table.add_row(shown(line.symbol) + chain, amount, place + token, ", ".join(line.gaps))
    new_console().print(table)


def print_history(lines: Sequence[HistoryLine]) -> None:
    """One line a movement, the newest first."""
    table = Table("time (UTC)", "block", "kind", "asset", "amount", "transaction")
    for line in lines:
        amount = scaled(int(line.amount_raw), line.decimals)
        row = (str(line.at)[:16], str(line.block), line.kind, shown(line.symbol), amount)
        table.add_row(*row, short(line.tx_hash) if line.tx_hash else "")
    new_console().print(table)


def new_console() -> Console:
    """A console as wide as the terminal; a pipe gets whole lines."""
    return Console() if sys.stdout.isatty() else Console(width=PIPE_COLUMNS)


def short(name: str) -> str:
    """The ends of an address or hash."""
    return name if len(name) <= LONGEST_SYMBOL else f"{name[:8]}…{name[-4:]}"


def shown(symbol: str | None) -> str:
    """A symbol, short and without a meaning for the terminal: anybody may have written it."""
    if not symbol:
        return "?"
    plain = "".join(letter if letter.isprintable() else "?" for letter in symbol)
    return escape(plain if len(plain) <= LONGEST_SYMBOL else plain[: LONGEST_SYMBOL - 1] + "…")
