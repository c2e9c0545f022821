"""Results as tables for a person."""

import sys
from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.money import scaled
from shared.ops.schedules.base import JobStatus
from shared.ops.usage import UsageReport
from shared.portfolio.balances import BalanceLine
from shared.portfolio.history import HistoryLine
from shared.prices.lookup import PriceLine
from shared.sources.catalog import chain_info
from shared.sync.progress import StreamProgress

LONGEST_SYMBOL = 16
PIPE_COLUMNS = 120
CENT = Decimal("0.01")


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
    """One line an asset: the exact amount in whole coins, and what the feeds cannot know of it.

    Price and value have columns when there are any; the API tells them with every digit.
    """
    table = Table(title="Balances")
    table.add_column("asset", no_wrap=True)
    table.add_column("amount", overflow="fold")  # junk tokens have 78 digits
    has_prices = any(line.price is not None for line in lines)
    if has_prices:
        table.add_column("price (USD)", justify="right", no_wrap=True)
        table.add_column("value (USD)", justify="right", no_wrap=True)
    table.add_column("contract", no_wrap=True)
    table.add_column("not known")
    for line in lines:
        place = short(line.contract) if line.contract else "native"
        chain = f" on {chain_info(line.chain_id).name}" if with_chain else ""
        token = f" #{shown(line.token_id)}" if line.token_id is not None else ""
        amount = scaled(int(line.amount_raw), line.decimals)
        worth = _worth(line.price, line.value, line.stale) if has_prices else ()
        gaps = ", ".join(line.gaps)
        table.add_row(shown(line.symbol) + chain, amount, *worth, place + token, gaps)
    new_console().print(table)


def print_prices(lines: Sequence[PriceLine]) -> None:
    """One line an asset: its price, whose it is and how old, and why not to rely on it."""
    table = Table("asset", "price (USD)", "source", "age", "confidence", "note", title="Prices")
    for line in lines:
        place = f" {short(line.contract)}" if line.contract else ""
        asset = f"{shown(line.symbol)} on {chain_info(line.chain_id).name}{place}"
        if line.price_usd is None:
            table.add_row(asset, "", "", "", "", line.state)
            continue
        notes = ["stale"] * bool(line.stale) + [line.flag or ""]
        note = ", ".join(filter(None, notes))
        row = (_figures(line.price_usd), line.source, _age(line.age_s or 0), line.confidence, note)
        table.add_row(asset, *row)
    new_console().print(table)


def print_usage(report: UsageReport) -> None:
    """One line a provider: what was called today, and what is allowed."""
    table = Table("source", "used today (UTC)", "limit", "left", "resets at", title="Calls")
    for each in report.items:
        limit = "none known" if each.limit is None else f"{each.limit:,}"
        left = "" if each.left is None else f"{each.left:,}"
        resets_at = f"{each.resets_at:%Y-%m-%d %H:%M}"
        table.add_row(each.source, f"{each.used:,}", limit, left, resets_at)
    new_console().print(table)


def print_jobs(jobs: Sequence[JobStatus]) -> None:
    """One line a job, and its last calls with their answers."""
    table = Table("job", "when (UTC)", "last calls (UTC)", "answer", title="Cron calls")
    for job in jobs:
        calls = [f"{call.at:%m-%d %H:%M:%S}" for call in job.calls]
        answers = [f"{call.status or 'none'} {shown(call.note)}".strip() for call in job.calls]
        when = job.cron or "not installed"
        table.add_row(job.name, when, "\n".join(calls) or "none yet", "\n".join(answers))
    new_console().print(table)


def _worth(price: str | None, value: str | None, stale: bool | None) -> tuple[str, str]:
    """Price and value for a person; empty where there is none, which is not zero."""
    told = "" if price is None else _figures(price) + (" (stale)" if stale else "")
    if value is None:
        return told, ""
    dust = 0 < abs(Decimal(value)) < CENT
    return told, "<0.01" if dust else f"{Decimal(value):,.2f}"


def _figures(price: str) -> str:
    """A price with eight figures."""
    return f"{Decimal(price):,.8g}"


def _age(seconds: int) -> str:
    """An age in its largest unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


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
