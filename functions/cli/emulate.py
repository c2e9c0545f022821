"""``tallybook emulate``: a local provider over recordings, facts or a made-up world, or Upstash."""

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from functions.cli import upstash
from shared.emulator.emulator import Emulator
from shared.emulator.facts.store import load_facts
from shared.emulator.faults import FAULTS, FaultPlan, odds_of
from shared.emulator.oracle import movements, oracle_document
from shared.emulator.provider import ProviderOptions
from shared.emulator.recordings import load_recordings
from shared.emulator.server import listen, server_for, variables
from shared.emulator.store import RowStore, WorldStore
from shared.emulator.world import World, WorldConfig
from shared.errors import ConfigError

NAME = "emulate"
HELP = "run a local Etherscan-like provider, or a local Upstash, for development and tests"
PROVIDER_HELP = "a local Etherscan-like provider"
BAD_USAGE = 2
DEFAULT_BLOCKS = 200
MOVEMENTS_PER_BLOCK = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: those of each server stand behind its own word."""
    servers = parser.add_subparsers(dest="provider", required=True, metavar="SERVER")
    _configure_provider(
        servers.add_parser("etherscan", help=PROVIDER_HELP, description=PROVIDER_HELP)
    )
    upstash.configure(servers.add_parser("upstash", help=upstash.HELP))


def _configure_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--load", type=Path, metavar="DIR", help="serve recorded answers")
    parser.add_argument("--facts", action="store_true", help="serve the real wallets of the demo")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the made-up world")
    parser.add_argument("--wallets", type=int, default=3, metavar="W")
    parser.add_argument(
        "--movements", type=int, default=0, metavar="M", help="of the first wallet, exactly"
    )
    parser.add_argument("--blocks", type=int, metavar="B")
    parser.add_argument(
        "--chain", type=int, action="append", metavar="C", help="repeat for several chains"
    )
    parser.add_argument("--dense", type=int, default=0, metavar="R", help="rows in one block")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="0 takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, metavar="L")
    parser.add_argument("--rate", type=float, default=0.0, metavar="R", help="calls a second")
    parser.add_argument("--page-cap", type=int, metavar="N", help="most rows of a page")
    parser.add_argument("--key", metavar="K", help="the API key to ask for")
    parser.add_argument(
        "--faults", default="", metavar="NAME:PROB,..", help=f"of {', '.join(FAULTS)}"
    )
    parser.add_argument("--oracle", type=Path, metavar="FILE", help="write the true balances")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    return upstash.run(args) if args.provider == "upstash" else _run_provider(args)


def _run_provider(args: argparse.Namespace) -> int:
    try:
        store = _store(args)
        options = ProviderOptions(page_cap=args.page_cap, calls_per_s=args.rate, key=args.key)
        plan = FaultPlan(seed=args.seed, odds=odds_of(args.faults))
        emulator = Emulator(store, options=options, plan=plan)
        if args.oracle is not None:
            _write_oracle(args.oracle, store)
        listener = listen(args.host, args.port)
    except ConfigError as exc:
        print(f"tallybook emulate: {exc.detail}", file=sys.stderr)
        return BAD_USAGE

    def announce() -> None:
        shown = f"[{args.host}]" if ":" in args.host else args.host
        lines = variables(f"http://{shown}:{listener.getsockname()[1]}")
        print(*lines, *_wallet_lines(store), "ready", sep="\n", flush=True)

    # uvicorn raises the signal again after its shutdown: with these handlers that ends in exit 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignore)
    server_for(emulator, latency_s=args.latency_ms / 1000, when_ready=announce).run([listener])
    return 0


def _store(args: argparse.Namespace) -> RowStore:
    if args.load is not None:
        return load_recordings(args.load)
    if args.facts:
        return load_facts()
    blocks = args.blocks or max(DEFAULT_BLOCKS, args.movements // MOVEMENTS_PER_BLOCK)
    if args.wallets < 1 or args.movements < 0 or blocks < 1 or args.dense < 0:
        message = "a world needs --wallets and --blocks of 1 or more, --movements and --dense of 0"
        raise ConfigError(message)
    config = WorldConfig(
        chains=tuple(dict.fromkeys(args.chain or [1])),
        wallets=args.wallets,
        movements=args.movements,
        blocks=blocks,
        dense_rows=args.dense,
    )
    return WorldStore(World(args.seed, config))


def _write_oracle(path: Path, store: RowStore) -> None:
    if not isinstance(store, WorldStore):
        message = "--oracle needs a made-up world: leave --load and --facts out"
        raise ConfigError(message)
    try:
        path.write_text(json.dumps(oracle_document(store.world), indent=1) + "\n")
    except OSError as exc:
        message = f"cannot write the oracle to {path}: {exc.strerror}"
        raise ConfigError(message) from exc


def _wallet_lines(store: RowStore) -> list[str]:
    if not isinstance(store, WorldStore):
        return []
    world = store.world
    return [
        f"# wallet 0x{wallet.hex()} chain {chain_id} movements "
        f"{sum(movements(world, wallet, chain_id).values())}"
        for chain_id in world.chains
        for wallet in world.wallets
    ]


def _ignore(number: int, frame: FrameType | None) -> None:
    """Let the server end by itself."""
