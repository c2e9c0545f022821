"""``tallybook init``: bring the database to the newest schema."""

import argparse

from functions.cli.session import opened

NAME = "init"
HELP = "create or upgrade the database schema"


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments: the database is named by DATABASE_URL."""
    parser.set_defaults(command=NAME)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - the shape of a command
    """Migrate to head; nothing happens when it is there."""
    from schema import migrate  # noqa: PLC0415 - alembic is loaded only to migrate

    with opened(prepare=False) as runtime:
        migrate.upgrade(runtime.engine)
        print(f"database schema at {migrate.current(runtime.engine)}")
    return 0
