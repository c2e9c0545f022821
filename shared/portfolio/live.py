"""Reads of several statements that all see one generation of streams."""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from sqlalchemy import Connection, Engine

from schema.engine import reading
from schema.queries import stream_view

T = TypeVar("T")


def read_live(
    engine: Engine,
    address_id: int,
    chain_ids: Collection[int],
    read: Callable[[Connection, Mapping[int, int]], T],
) -> T:
    """What ``read`` finds for the live streams and their chains, not for those they replace.

    A stream's rows are deleted only when it is no longer live, and it never is again: what is live
    before and after was whole in between. No transaction: a reader that is frozen holds nothing.
    """
    with reading(engine) as connection:
        live = stream_view.live_streams(connection, address_id, chain_ids)
        while True:
            found = read(connection, live)
            now = stream_view.live_streams(connection, address_id, chain_ids)
            if now == live:
                return found
            live = now
