"""A page of history over six long streams, at any depth and filtered by one asset.

What the database says that the product's own statements take: planning and execution together, by
EXPLAIN ANALYZE of each as it was sent.
"""

import statistics
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from benchmarks.harness import Measure, limit, postgres
from schema.engine import reading
from schema.queries import asset, history
from schema.queries.history import MovementFilter, OfWallet, Window
from tests.factories import make_address, make_stream, make_wallet, save

CHAINS = (1, 10, 100, 137, 8453, 42161)
ROWS, FIRST_BLOCK, ROWS_A_BLOCK = 200_000, 1_000_000, 10
ASSETS, RARE, ABSENT = 20, 21, 22  # numbers of the contracts of each chain
PAGE_ROWS, ROUNDS = 51, 15
WALLET = OfWallet("local", 1)
FILL = (
    """
    INSERT INTO tallybook.asset (chain_id, standard, contract, symbol, decimals)
    SELECT chain_id, 'erc20', decode(lpad(to_hex(n), 40, '0'), 'hex'), 'TK' || n, 18
    FROM tallybook.stream, generate_series(1, :absent) n
    """,
    """
    INSERT INTO tallybook.movement
      (stream_id, block, pos, at, asset_id, kind, tx_hash, counterparty, amount)
    SELECT s.id, :first_block + n / :rows_a_block,
      (n % :rows_a_block * 17)::bigint << 40 | ('x' || substr(md5(n::text), 1, 8))::bit(32)::bigint,
      timestamptz '2020-01-01' + n * interval '20 minutes' + s.id * interval '1 minute',
      a.id, 4, sha256((s.id || '/' || n)::bytea), substr(sha256((n % 3000)::text::bytea), 1, 20),
      (('x' || substr(md5(n::text), 9, 8))::bit(32)::int)::numeric * 10 ^ 12
    FROM tallybook.stream s, generate_series(0, :rows - 1) n, tallybook.asset a
    WHERE a.chain_id = s.chain_id AND a.contract = decode(lpad(to_hex(
      CASE WHEN n % (:rows / 4) = 1 AND n > 1 THEN :rare ELSE 1 + n * 7 / 3 % :assets END
    ), 40, '0'), 'hex')
    ORDER BY s.id, n
    """,
    """
    INSERT INTO tallybook.balance (stream_id, asset_id, amount, movements)
    SELECT stream_id, asset_id, sum(amount), count(*) FROM tallybook.movement GROUP BY 1, 2
    """,
)


def fill(engine: Engine) -> list[int]:
    """Six streams of one address with 20 common assets and a rare one; their ids."""
    [address] = save(engine, make_address())
    made = save(engine, *(make_stream(address_id=address.id, chain_id=chain) for chain in CHAINS))
    save(engine, make_wallet(address_id=address.id, chain_ids=list(CHAINS)))
    named = {
        "rows": ROWS,
        "first_block": FIRST_BLOCK,
        "rows_a_block": ROWS_A_BLOCK,
        "assets": ASSETS,
        "rare": RARE,
        "absent": ABSENT,
    }
    with engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), named)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return [stream.id or 0 for stream in made]


def newest(connection: Connection, stream_ids: list[int], depth: float) -> int:
    """One page that begins behind a share of each stream's rows, or at the tops."""
    block = FIRST_BLOCK + int(ROWS * (1 - depth)) // ROWS_A_BLOCK
    windows = [Window(stream_id, block, 0) for stream_id in stream_ids] if depth else None
    return len(history.newest(connection, WALLET, windows, MovementFilter(), most=PAGE_ROWS).rows)


def of_asset(connection: Connection, stream_ids: list[int], number: int) -> int:
    """The first page of one contract on all chains, as ``history_page`` asks for it."""
    held = asset.held_assets(connection, stream_ids, contract=number.to_bytes(20), token_id=None)
    windows = [Window(stream_id) for stream_id in held]
    wanted = MovementFilter(asset_ids={each for ids in held.values() for each in ids})
    return len(history.newest(connection, WALLET, windows, wanted, most=PAGE_ROWS).rows)


def database_ms(connection: Connection, work: Callable[[], object]) -> float:
    """The median over some rounds of what the statements that ``work`` sends take."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters))

    event.listen(connection, "before_cursor_execute", note)
    work()
    event.remove(connection, "before_cursor_execute", note)
    times: list[float] = []
    for _ in range(ROUNDS):
        plans = [connection.exec_driver_sql(*each).scalar_one()[0] for each in sent]
        times.append(sum(plan["Planning Time"] + plan["Execution Time"] for plan in plans))
    return statistics.median(times)


def run() -> list[Measure]:
    """The measures of this file."""
    with postgres() as engine:
        stream_ids = fill(engine)
        with reading(engine) as connection:

            def paged(depth: float, where: str) -> Measure:
                assert newest(connection, stream_ids, depth) == PAGE_ROWS
                ms = database_ms(connection, lambda: newest(connection, stream_ids, depth))
                return limit(f"history of 6 x {ROWS:,}, {where}", ms, "ms", most=2)

            def filtered(number: int, which: str, rows: int) -> Measure:
                assert of_asset(connection, stream_ids, number) == rows
                ms = database_ms(connection, lambda: of_asset(connection, stream_ids, number))
                return limit(f"history of 6 x {ROWS:,}, {which}", ms, "ms", most=5)

            return [
                paged(0, "the first page"),
                paged(0.5, "a page in the middle"),
                paged(0.99, "a page near the end"),
                filtered(1, "of a common asset", PAGE_ROWS),
                filtered(RARE, "of a rare asset", 3 * len(stream_ids)),
                filtered(ABSENT, "of an absent asset", 0),
            ]
