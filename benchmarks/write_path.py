"""The page write against binary COPY into the same table, and against the ORM's way."""

import random
from collections.abc import Iterator

from sqlalchemy import Engine, text
from sqlmodel import Session

from benchmarks.harness import Measure, interleaved, limit, postgres, ratio
from schema.engine import autocommit
from schema.queries import page, stream
from schema.queries.page import MovementRow, PageWrite
from schema.tables import Movement
from schema.types import moment_of
from tests.factories import make_address, make_stream, save

ROWS, ASSETS, PAGES = 1_000, 20, 60
COPY = (
    "COPY tallybook.movement (stream_id, block, pos, at, asset_id, kind, tx_hash, counterparty,"
    " amount) FROM STDIN (FORMAT BINARY)"
)
TYPES = ["int4", "int8", "int8", "timestamptz", "int4", "int2", "bytea", "bytea", "numeric"]


def rows_of(number: int) -> list[MovementRow]:
    """A page of a busy wallet: ten rows a block."""
    rng = random.Random(number)  # noqa: S311 - data
    return [
        MovementRow(
            number * 100 + at // 10,
            at % 10 << 40,
            1_700_000_000 + number * 100 + at // 10,
            rng.randint(1, ASSETS),
            4,
            rng.randbytes(32),
            rng.randbytes(20),
            rng.randint(-(10**24), 10**24),
        )
        for at in range(ROWS)
    ]


class Path:
    """One stream of a database, and the ways to put a page into it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        [address] = save(engine, make_address())
        kinds = ("native", "internal", "erc20")
        streams = save(engine, *(make_stream(address_id=address.id, kind=kind) for kind in kinds))
        self.ours, self.copied, self.orm = (each.id or 0 for each in streams)
        self.token = 0
        self.lease()

    def lease(self) -> None:
        """Begin a pass of our stream from its first block."""
        with self.engine.begin() as connection:
            connection.execute(
                text("UPDATE tallybook.stream SET lease_until = 'epoch', pass_head = NULL")
            )
        with autocommit(self.engine) as connection:
            held = stream.lease(connection, self.ours, lease_s=600, holder="bench")
        assert held is not None
        self.token = held.token

    def write(self, number: int) -> None:
        """Our way: fence, compare, insert and balances in one statement."""
        write = PageWrite(
            self.ours,
            self.token,
            number * 100,
            number * 100 + 100,
            -1,
            10**9,
            600,
            None,
            rows_of(number),
        )
        with autocommit(self.engine) as connection:
            assert page.write_page(connection, write).applied

    def copy(self, number: int) -> None:
        """The floor: the same rows by binary COPY, without fence, check or balances."""
        with self.engine.begin() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            with driver.cursor() as cursor, cursor.copy(COPY) as copy:
                copy.set_types(TYPES)
                for block, pos, at_s, *rest in rows_of(number):
                    copy.write_row((self.copied, block, pos, moment_of(at_s * 10**6), *rest))

    def add_all(self, number: int) -> None:
        """The ORM's way, without fence, check or balances either."""
        with Session(self.engine) as session:
            session.add_all(self._objects(number))
            session.commit()

    def make(self, number: int) -> None:
        """What making the rows costs, taken off every way."""
        rows_of(number)

    def _objects(self, number: int) -> Iterator[Movement]:
        for row in rows_of(number):
            values = row._asdict()
            at = moment_of(values.pop("at_s") * 10**6)
            yield Movement(stream_id=self.orm, at=at, **values)


def run() -> list[Measure]:
    """The measures of this file."""
    size = bytes_a_movement()
    with postgres() as engine:
        path = Path(engine)
        ours, copied, made = interleaved(PAGES, path.write, path.copy, path.make)
        path.lease()
        again, _ = interleaved(PAGES, path.write, path.make)
        orm, fresh = interleaved(6, path.add_all, lambda number: path.write(PAGES + number))
    ours, copied, again, orm, fresh = (
        (seconds - made) * 1e3 for seconds in (ours, copied, again, orm, fresh)
    )
    return [
        ratio("page of 1,000, fresh, against COPY", ours, copied, "ms", most=2.2),
        ratio("page of 1,000, delivered again, against COPY", again, copied, "ms", most=2.5),
        ratio("page of 1,000 against session.add_all", fresh, orm, "ms", least=20),
        limit("bytes a movement, indexes included", size, "bytes", most=180),
    ]


def bytes_a_movement() -> float:
    """The table of one stream, written page by page, with its index."""
    query = (
        "SELECT pg_total_relation_size('tallybook.movement')::float"
        " / (SELECT count(*) FROM tallybook.movement)"
    )
    with postgres() as engine:
        path = Path(engine)
        for number in range(PAGES):
            path.write(number)
        with engine.connect() as connection:
            return float(connection.execute(text(query)).scalar_one())
