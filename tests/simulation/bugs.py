"""Bugs that anybody could write, each as an exact text replacement in one module."""

from dataclasses import dataclass

PAGE = "schema.queries.page"
STREAM = "schema.queries.stream"
GUARD = "WHERE id = :stream_id AND lease_token = :token AND next_block = :lo"
POSTGRES_GUARD = (
    "WHERE id = %(stream_id)s AND lease_token = %(token)s AND next_block = %(lo)s\n"
    "    AND (SELECT n FROM bad) = 0"
)
PAGES_ON_POSTGRES = "tests/unit/schema/test_page.py"
WATCH_AND_CHANGE = "tests/unit/sync/test_watch_and_change.py"
TWO_CONNECTIONS = "tests/interleaving/test_page_concurrency.py"


@dataclass(frozen=True)
class Mutant:
    """A bug: in ``module``, ``old`` becomes ``new``.

    The simulation must find it within ``seeds`` seeds; one that needs two connections of a real
    Postgres, or more luck than a seed has, must be found by ``tests``.
    """

    name: str
    module: str
    old: str
    new: str
    seeds: int = 300
    tests: str | None = None


MUTANTS = (
    Mutant("no fence", PAGE, GUARD, "WHERE id = :stream_id AND next_block = :lo"),
    Mutant(
        "lease time instead of token",
        PAGE,
        GUARD,
        "WHERE id = :stream_id AND lease_until > {now} AND next_block = :lo",
    ),
    Mutant(
        "cursor = last seen",
        STREAM,
        "WHEN settled_block > 0 THEN settled_block ELSE 0 END",
        "WHEN next_block > 0 THEN next_block ELSE 0 END",
    ),
    Mutant(
        "tail not replaced",
        PAGE,
        "gone = [row for key, row in held.items() if told.get(key) != row]\n"
        "    new = [row for key, row in told.items() if held.get(key) != row]",
        "gone = []\n    new = [row for key, row in told.items() if key not in held]",
    ),
    Mutant(
        "ordinal positions",
        "shared.sync.position",
        "draft.tx_index << LOW_BITS | _low(draft, occurrence)",
        "draft.tx_index << LOW_BITS | len(placed)",
    ),
    Mutant(
        "incomplete block kept",
        "shared.sync.pages",
        "cut = self._cut(held[0].block - 1, complete)",
        "cut = self._cut(held[0].block, [*complete, *held])",
    ),
    Mutant(
        "wake-up lost without sweep",
        "shared.sync.sweep",
        "    if new:\n",
        "    if False:\n",
    ),
    Mutant(
        "error read as empty",
        "shared.sources.etherscan_like",
        'is_empty = status == "0" and not page.result and EMPTY.fullmatch(str(page.message))',
        'is_empty = status == "0" and not page.result',
        seeds=900,
    ),
    Mutant("contradiction ignored", PAGE, "    if contradicted:\n", "    if False:\n"),
    Mutant(
        "balance moved before the guard",
        PAGE,
        "**guard).rowcount != 1:\n        return NOTHING",
        "**guard).rowcount != 1:\n"
        "        _move_balances(connection, page.stream_id, page.rows, [])\n"
        "        return NOTHING",
    ),
    Mutant(
        "page delivered again counts again",
        PAGE,
        "_move_balances(connection, page.stream_id, new, gone)",
        "_move_balances(connection, page.stream_id, page.rows, gone)",
    ),
    Mutant(
        "short page believed to be the end",
        "shared.sync.pages",
        "        self._page = known // self._size\n",
        "        self._page = known // self._size\n        self.done = True\n"
        "        return self._cut(self._head, [*self._held, *rows])\n",
    ),
    Mutant(
        "anchor not checked",
        "shared.sync.anchors",
        "        if now == anchor.hash:\n",
        "        if True:\n",
    ),
    Mutant(
        "anchor asked for after the pages",
        "shared.sync.chunk",
        "        if shared is not None:\n            return self._rewound(shared)\n",
        "        if shared is not None:\n"
        "            self._reader.forget(lease.provider, lease.chain_id)\n"
        "            self._anchors = []\n",
    ),
    Mutant(
        "anchor displaced by an older row's hash",
        "shared.sync.chunk",
        "newest < row.block <= self._settle_to()",
        "row.block <= self._settle_to()",
        tests="tests/unit/sync/test_pass_anchor.py",
    ),
    Mutant(
        "guard by sub-select",
        PAGE,
        POSTGRES_GUARD,
        "WHERE id IN (SELECT id FROM tallybook.stream WHERE id = %(stream_id)s\n"
        "    AND lease_token = %(token)s AND next_block = %(lo)s) AND (SELECT n FROM bad) = 0",
        tests=TWO_CONNECTIONS,
    ),
    Mutant(
        "late retry of an applied page applied twice",
        PAGE,
        POSTGRES_GUARD,
        POSTGRES_GUARD.replace(" AND next_block = %(lo)s", ""),
        tests=TWO_CONNECTIONS,
    ),
    Mutant(
        "page delivered again counts again, Postgres",
        PAGE,
        "SELECT asset_id, amount, 1 AS n FROM ins UNION",
        "SELECT asset_id, amount, 1 AS n FROM u CROSS JOIN g UNION",
        tests=PAGES_ON_POSTGRES,
    ),
    Mutant(
        "delete and insert in no promised order",
        PAGE,
        "FROM g CROSS JOIN (SELECT count(*) FROM del) AS d CROSS JOIN u",
        "FROM g CROSS JOIN (SELECT 0) AS d CROSS JOIN u",
        tests=PAGES_ON_POSTGRES,
    ),
    Mutant(
        "stream that nobody wants is worked",
        STREAM,
        "'snoozed') AND resting_since IS NULL\"",
        "'snoozed')\"",
    ),
    Mutant(
        "token of a deleted stream good for the next of its id",
        "schema.queries.address",
        "return micros_of(database_now(connection))",
        "return 0",
    ),
    Mutant(
        "feed wanted during a change live twice",
        "schema.queries.generation",
        "(generation <= :number OR live = :yes) AND",
        "generation <= :number AND",
        tests=WATCH_AND_CHANGE,
    ),
    Mutant(
        "given-up stream written while it is deleted",
        "schema.queries.stream_view",
        "case((STREAM.c.live, 0), else_=1)",
        "0",
        tests=WATCH_AND_CHANGE,
    ),
)


# Planting nothing must find nothing.
CONTROL = Mutant("control", PAGE, GUARD, GUARD, seeds=60)
