"""How many runs a deployment has at once: each holds one of so many slots in the database.

Whoever calls, and however often, no more are at work; a slot of the dead ends with its run's box.
"""

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from schema.queries import leader
from shared.clock import Deadline
from shared.errors import StorageError
from shared.seams import UnitOfWork

ROLE = "run"
LAST_S = 2.0  # a run's end may come a little after its box


@contextmanager
def one_of(unit: UnitOfWork, slots: int, deadline: Deadline) -> Iterator[str | None]:
    """A slot for the time within; None when all are taken."""
    holder = secrets.token_hex(8)
    length_s = deadline.remaining_s() + LAST_S
    names = [f"{ROLE}/{number}" for number in range(slots)]
    random.shuffle(names)
    taken = next(
        (
            name
            for name in names
            if unit.run("slot", lambda c, n=name: leader.lead(c, n, holder, length_s))  # type: ignore[misc]
        ),
        None,
    )
    try:
        yield taken
    finally:
        if taken is not None:
            with suppress(StorageError):  # it ends by itself
                unit.run("slot back", lambda c: leader.resign(c, taken, holder))
