"""To read an address from another provider without ever showing a mixture."""

from functools import partial

from sqlalchemy import Engine

from schema.engine import session_scope
from schema.queries import address, generation
from shared.errors import InvalidInputError
from shared.seams import Seams
from shared.sources import registry


def begin_change(engine: Engine, *, address_id: int, chain_id: int, to: str) -> list[int]:
    """Have a generation of streams from ``to`` that fills beside the live one; their ids.

    Called again it goes on with the one begun; another provider's unfinished one is given up. None
    when the live streams come from ``to`` already.

    Raises:
        InvalidInputError: Nobody watches the address on this chain, or ``to`` does not serve it.
    """
    kinds = [kind.value for kind in registry.kinds(to, chain_id)]
    if not kinds:
        message = f"source {to} does not serve chain {chain_id}"
        raise InvalidInputError(message, fix="Choose another source.")
    with session_scope(engine) as session:
        connection = session.connection()
        address.lock_address(connection, address_id)
        live = generation.live_providers(connection, address_id, chain_id)
        if not live:
            message = f"this address is not watched on chain {chain_id}"
            raise InvalidInputError(message, fix="Run tallybook sync first.")
        filling = generation.filling(connection, address_id, chain_id)
        if live == [to]:
            generation.abandon(connection, address_id, chain_id)
            return []
        if {provider for _, _, provider in filling} != {to}:
            generation.abandon(connection, address_id, chain_id)
            generation.begin(connection, address_id, chain_id, to, kinds)
            filling = generation.filling(connection, address_id, chain_id)
    return [stream_id for stream_id, _, _ in filling]


def finish_changes(seams: Seams) -> int:
    """Make live every generation that is filled; how many. Anybody may, at any time."""
    ready = seams.unit.run("generations ready", generation.ready)
    return sum(seams.unit.run("flip", partial(generation.flip, generation=each)) for each in ready)
