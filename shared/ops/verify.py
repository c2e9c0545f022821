"""Does the ledger agree with itself? Balances against movements, and rows of nothing."""

from dataclasses import dataclass

from sqlalchemy import Engine

from schema.engine import snapshot
from schema.queries import verify as queries
from schema.queries.verify import Mismatch, Orphans


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked and what did not agree."""

    streams: int
    movements: int
    balances: int
    mismatches: tuple[Mismatch, ...]
    orphans: Orphans

    @property
    def agrees(self) -> bool:
        """Whether nothing is wrong."""
        return not self.mismatches and not any(self.orphans)


def verify(engine: Engine) -> VerifyReport:
    """Check every live stream, each on a snapshot of its own, so that it may run beside syncs."""
    movements = balances = 0
    wrong: list[Mismatch] = []
    with snapshot(engine) as connection:
        stream_ids = queries.stream_ids(connection)
    for stream_id in stream_ids:
        with snapshot(engine) as connection:
            found = queries.check_stream(connection, stream_id)
        wrong += found.mismatches
        movements += found.movements
        balances += found.balances
    with snapshot(engine) as connection:
        orphans = queries.orphans(connection)
    return VerifyReport(len(stream_ids), movements, balances, tuple(wrong), orphans)
