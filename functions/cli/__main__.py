"""``tallybook``: the command line. One file per command, found by name."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import cast

from functions.cli.base import Command
from functions.process import tune
from shared.errors import ConfigError, InvalidInputError, TallybookError
from shared.log import set_up_logging
from shared.settings import Settings

COMMANDS = (
    "init", "sync", "balances", "history", "prices", "usage", "verify", "source", "serve",
    "worker", "pause", "resume", "drain", "cutover", "rollback",
    "cron", "emulate", "demo",
)  # fmt: skip
FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130
OF_THE_EXTRA = {  # a function goes without them
    **dict.fromkeys(("alembic", "rich", "uvicorn"), "cli"),
    **dict.fromkeys(("bullmq", "redis", "prometheus_client"), "worker"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 bad usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        command, parser = _chosen(arguments)
        args = parser.parse_args(arguments)
        set_up_logging(Settings.load().log_level)
        tune()
        return command.run(args)
    except (ConfigError, InvalidInputError) as exc:
        return _complain(exc, BAD_USAGE)
    except TallybookError as exc:
        return _complain(exc, FAILED)
    except ModuleNotFoundError as exc:
        if exc.name not in OF_THE_EXTRA:
            raise
        detail = f"this command needs {exc.name}, which is not installed"
        fix = f"Install the extra: pip install 'tallybook[{OF_THE_EXTRA[exc.name]}]'."
        return _complain(ConfigError(detail, fix=fix), BAD_USAGE)
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED


def _chosen(arguments: list[str]) -> tuple[Command, argparse.ArgumentParser]:
    """The command that is meant, and a parser that knows all; others are imported for help only."""
    named = next((word for word in arguments if word in COMMANDS), None)
    parser = argparse.ArgumentParser(
        prog="tallybook",
        description="Complete wallet history and exact balances in your own database.",
    )
    parser.add_argument("--version", action="version", version=version("tallybook"))
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = None
    for name in COMMANDS:
        if named not in {None, name}:
            subparsers.add_parser(name)
            continue
        command = cast("Command", importlib.import_module(f"functions.cli.{name}"))
        command.configure(subparsers.add_parser(name, help=command.HELP, description=command.HELP))
        chosen = command
    assert chosen is not None  # noqa: S101 - argparse refuses what is no command
    return chosen, parser


def _complain(error: TallybookError, code: int) -> int:
    """One line for a person, with the way to mend it."""
    fix = f" {error.how_to_fix}" if error.how_to_fix else ""
    print(f"tallybook: {error.detail}.{fix}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
