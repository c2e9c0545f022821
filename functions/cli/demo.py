"""``tallybook demo``: the main job on real transactions, through HTTP, into a real database."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_data_path
from rich.console import Console
from rich.table import Table

from functions.cli.prices import print_refresh
from functions.cli.session import opened
from functions.cli.sync import Outcome, start, sync
from functions.cli.tables import new_console, print_balances, short
from functions.cli.verify import print_report
from schema.engine import reading
from schema.queries import address
from shared.clock import Deadline
from shared.emulator import oracle
from shared.emulator.emulator import Emulator
from shared.emulator.facts.store import FactsStore, load_facts
from shared.emulator.server import serving, variables
from shared.emulator.store import RowStore, WorldStore
from shared.emulator.world import World, WorldConfig
from shared.ops.verify import verify
from shared.portfolio.balances import BalanceLine
from shared.portfolio.valuation import valued
from shared.runtime import Runtime
from shared.settings import Settings, SourceOptions
from shared.sources.catalog import chain_info

NAME = "demo"
HELP = "sync real wallets from a local provider, then a made-up one of 50,000 movements"
BOX_S = 2.0
PATIENCE_S = 60.0
SEED = 7
MOVEMENTS_PER_BLOCK = 25
FAILED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--movements", type=int, default=50_000, metavar="N", help="of the made-up wallet"
    )
    parser.add_argument(
        "--database-url", metavar="URL", help="default: an SQLite file of its own, made anew"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; 1 when anything did not come out as it must."""
    url = args.database_url or _fresh_file()
    console = new_console()
    console.print(
        "[bold]Real wallets[/]: public-chain transactions kept in this project, "
        f"synced through HTTP in {BOX_S:g} s boxes"
    )
    facts = load_facts()
    good = _demonstrate(console, url, facts, _wallets(facts))
    console.print(f"\n[bold]A made-up wallet[/] of {args.movements:,} movements (seed {SEED})")
    blocks = max(1, args.movements // MOVEMENTS_PER_BLOCK)
    world = World(SEED, WorldConfig(wallets=1, movements=args.movements, blocks=blocks))
    hero = "0x" + world.wallets[0].hex()
    good &= _demonstrate(console, url, WorldStore(world), [(hero, world.chains[0])], world)
    _say_what_next(console, url)
    return 0 if good else FAILED


def _demonstrate(
    console: Console,
    url: str,
    store: RowStore,
    wallets: Iterable[tuple[str, int]],
    world: World | None = None,
) -> bool:
    """Sync the wallets from ``store`` over HTTP, show what came, and verify it."""
    with serving(Emulator(store)) as base_url, opened(settings=_settings(url, base_url)) as runtime:
        outcomes = [_synced(runtime, account, chain_id) for account, chain_id in wallets]
        console.print(_summary(outcomes))
        print_refresh(runtime.prices.refresh(Deadline.after(runtime.clock, BOX_S)))
        if world is None:
            lines = [line for outcome, _ in outcomes for line in _valued(runtime, outcome)]
            print_balances(lines, with_chain=True)
            print("Negative sums are not hidden: those recordings lack internal transactions.")
        report = verify(runtime.engine)
    print_report(report)
    good = report.agrees and all(outcome.complete for outcome, _ in outcomes)
    if world is not None:
        good &= _equals_oracle(outcomes[0][0], world)
    return good


def _synced(runtime: Runtime, account: str, chain_id: int) -> tuple[Outcome, float]:
    """One wallet, and how long it took."""
    address_id = start(runtime, account, chain_id, None)
    began = runtime.clock.monotonic()
    outcome = Outcome(account, chain_id)
    sync(runtime, address_id, outcome, budget_s=BOX_S, patience_s=PATIENCE_S)
    return outcome, runtime.clock.monotonic() - began


def _valued(runtime: Runtime, outcome: Outcome) -> list[BalanceLine]:
    """The balances of a wallet with their prices."""
    with reading(runtime.engine) as connection:
        address_id = address.address_id_of(connection, outcome.account)
    return valued(
        runtime.engine,
        outcome.balances,
        address_id=address_id or 0,
        chain_ids=[outcome.chain_id],
        freshness=runtime.freshness,
    )


def _summary(outcomes: list[tuple[Outcome, float]]) -> Table:
    table = Table("wallet", "chain", "state", "chunks", "longest", "movements", "assets", "seconds")
    for outcome, seconds in outcomes:
        longest = max((chunk.seconds for chunk in outcome.chunks), default=0.0)
        table.add_row(
            short(outcome.account),
            chain_info(outcome.chain_id).name,
            "up to date" if outcome.complete else "NOT complete",
            str(len(outcome.chunks)),
            f"{longest:.2f} s",
            f"{sum(stream.movements for stream in outcome.streams):,}",
            str(len(outcome.balances)),
            f"{seconds:.1f}",
        )
    return table


def _equals_oracle(outcome: Outcome, world: World) -> bool:
    """Compare with balances summed from the world's own events, apart from the product."""
    true = oracle.balances(world, world.wallets[0])
    told = {_asset_of(line): int(line.amount_raw) for line in outcome.balances}
    same = told == true
    print(f"oracle: {len(true)} balances, {'all equal to the last unit' if same else 'NOT equal'}")
    return same


def _asset_of(line: BalanceLine) -> tuple[bytes | None, int | None]:
    contract = None if line.contract is None else bytes.fromhex(line.contract.removeprefix("0x"))
    return contract, None if line.token_id is None else int(line.token_id)


def _wallets(facts: FactsStore) -> list[tuple[str, int]]:
    return [("0x" + account.hex(), chain_id) for account, chain_id in facts.wallets]


def _settings(url: str, base_url: str) -> Settings:
    """Every provider pointed at the local one."""
    pairs = (line.split("=", 1) for line in variables(base_url))
    sources = {name.split("__")[1].lower(): SourceOptions(base_url=value) for name, value in pairs}
    return Settings.load(database_url=url, source=sources)


def _fresh_file() -> str:
    """The demo's own database file, emptied."""
    folder = Path(user_data_path("tallybook", appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("demo.db*"):
        leftover.unlink()
    return f"sqlite:///{folder / 'demo.db'}"


def _say_what_next(console: Console, url: str) -> None:
    console.print("\n[bold]Open the API[/] on this data:")
    # Not wrapped: it is to be copied.
    sys.stdout.write(f"  DATABASE_URL={url} .venv/bin/tallybook serve\n")
    sys.stdout.write(
        "  then http://127.0.0.1:8000/api/wallets and http://127.0.0.1:8000/api/docs\n"
    )
