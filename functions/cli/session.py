"""A runtime for one command, and the wallet it talks about."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from schema.engine import reading
from schema.queries import address
from shared.address import parse_account
from shared.errors import NotFoundError
from shared.runtime import Runtime
from shared.settings import Settings
from shared.sources.catalog import chain_info
from shared.storage import storage_error
from shared.sync.progress import progress

OWNER = "local"


@contextmanager
def opened(*, prepare: bool = True, settings: Settings | None = None) -> Iterator[Runtime]:
    """A runtime on the configured database, the embedded default made ready; closed at the end."""
    runtime = Runtime.from_settings(settings or Settings.load())
    try:
        if prepare:
            runtime.ensure_schema()
        yield runtime
    except DBAPIError as exc:
        raise storage_error(exc) from exc
    finally:
        runtime.close()


def add_subject(parser: argparse.ArgumentParser) -> None:
    """The arguments that name an address on a chain."""
    parser.add_argument("address", metavar="ADDRESS", help="an EVM address, 0x and 40 hex digits")
    parser.add_argument(
        "--chain", type=int, required=True, metavar="N", help="chain id, 1 is Ethereum"
    )


def warn_if_incomplete(runtime: Runtime, address_id: int, chain_id: int) -> None:
    """Say on stderr what is not up to date: an unfinished sync is not a small wallet."""
    streams = progress(runtime.engine, address_id=address_id, chain_ids=[chain_id])
    behind = [f"{each.kind} is {each.state}" for each in streams if each.state != "up_to_date"]
    if behind:
        print(f"not complete: {', '.join(behind)}; see tallybook sync", file=sys.stderr)


def known_address(runtime: Runtime, args: argparse.Namespace) -> int:
    """The id of the address that the arguments name.

    Raises:
        InvalidInputError: No address, or no chain that we know.
        NotFoundError: It was never synced here.
    """
    account = parse_account(args.address)
    chain_info(args.chain)
    with reading(runtime.engine) as connection:
        address_id = address.address_id_of(connection, account)
    if address_id is None:
        message = f"{args.address} was never synced into this database"
        raise NotFoundError(message, fix=f"Run tallybook sync {args.address} --chain {args.chain}.")
    return address_id
