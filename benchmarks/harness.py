"""What every benchmark shares: interleaved rounds, a database of its own, and the row it prints."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from schema import migrate
from schema.engine import make_engine
from tests.servers import postgres_server


@dataclass(frozen=True)
class Measure:
    """One line of the table: ours, what it is held against, and the aim.

    ``aim`` is the limit of the ratio, or of ``ours`` itself where there is no floor.
    """

    what: str
    ours: str
    floor: str
    ratio: float
    aim: str
    met: bool


def ratio(
    what: str, ours: float, floor: float, unit: str, *, most: float | None = None, least: float = 0
) -> Measure:
    """Ours beside the floor of the same run."""
    value = ours / floor if most is not None else floor / ours
    aim = f"≤ {most:g} x" if most is not None else f"≥ {least:g} x faster"
    met = value <= most if most is not None else value >= least
    return Measure(what, f"{ours:.2f} {unit}", f"{floor:.2f} {unit}", value, aim, met)


def limit(
    what: str, ours: float, unit: str, *, most: float | None = None, least: float | None = None
) -> Measure:
    """A number that is held against a fixed limit."""
    if most is not None:
        return Measure(
            what, f"{ours:.1f} {unit}", "", ours / most, f"≤ {most:g} {unit}", ours <= most
        )
    assert least is not None
    return Measure(
        what, f"{ours:.1f} {unit}", "", ours / least, f"≥ {least:g} {unit}", ours >= least
    )


def interleaved(rounds: int, *works: Callable[[int], None]) -> list[float]:
    """The median seconds of each work, taken in turns so that the machine's moods hit all alike."""
    took: list[list[float]] = [[] for _ in works]
    for number in range(rounds):
        for times, work in zip(took, works, strict=True):
            began = time.perf_counter()
            work(number)
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took]


@contextmanager
def postgres() -> Iterator[Engine]:
    """A migrated Postgres database, gone at the end."""
    with postgres_server() as server:
        name = server.create()
        engine = make_engine(server.url_of(name), now=lambda: datetime.now(UTC), pool_size=8)  # noqa: TID251
        migrate.upgrade(engine)
        try:
            yield engine
        finally:
            engine.dispose()
            server.drop(name)


def show(measure: Measure) -> None:
    """Print one line as soon as it is known."""
    mark = "ok " if measure.met else "NOT"
    line = f"{mark} {measure.what:58} {measure.ours:>14} {measure.floor:>14}"
    sys.stdout.write(f"{line} {measure.ratio:7.2f}  aim {measure.aim}\n")
    sys.stdout.flush()
