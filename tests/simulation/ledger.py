"""What the ledger says, in the oracle's words, and what must be true of it after every commit."""

from collections import Counter, defaultdict

from sqlalchemy import Engine

from schema.engine import reading
from schema.types import MovementKind
from shared.emulator.truth import Move

MOVEMENTS = """
SELECT s.kind, m.block, m.tx_hash, a.contract, a.token_id, m.counterparty, m.amount, m.kind
FROM movement m JOIN stream s ON s.id = m.stream_id JOIN asset a ON a.id = m.asset_id
JOIN address d ON d.id = s.address_id WHERE d.account = ? AND s.chain_id = ? AND s.live
"""
BALANCES = """
SELECT a.contract, a.token_id, b.amount FROM balance b JOIN stream s ON s.id = b.stream_id
JOIN asset a ON a.id = b.asset_id JOIN address d ON d.id = s.address_id
WHERE d.account = ? AND s.chain_id = ? AND s.live
"""


def movements(engine: Engine, account: str, chain_id: int) -> Counter[Move]:
    """Every movement of an account, without its place."""
    with reading(engine) as connection:
        rows = connection.exec_driver_sql(MOVEMENTS, (account, chain_id)).all()
    return Counter(
        Move(
            row[0],
            row[1],
            row[2],
            row[3],
            None if row[4] is None else int(row[4]),
            row[5],
            int(row[6]),
            MovementKind(row[7]).name,
        )
        for row in rows
    )


def balances(
    engine: Engine, account: str, chain_id: int
) -> dict[tuple[bytes | None, int | None], int]:
    """Balances over all live streams, zeros left out."""
    sums: defaultdict[tuple[bytes | None, int | None], int] = defaultdict(int)
    with reading(engine) as connection:
        for contract, token_id, amount in connection.exec_driver_sql(BALANCES, (account, chain_id)):
            sums[contract, None if token_id is None else int(token_id)] += int(amount)
    return {asset: amount for asset, amount in sums.items() if amount}


Placed = tuple[int, int, int, str]


class Invariants:
    """Checked after every commit: balances are sums, tokens grow, settled rows stay."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tokens: dict[int, int] = {}
        self._settled: dict[int, tuple[int, set[Placed]]] = {}

    def check(self, label: str) -> None:
        """Raise when the last commit broke one of them."""
        with reading(self._engine) as connection:
            streams = connection.exec_driver_sql(
                "SELECT id, lease_token, settled_block FROM stream"
            ).all()
            rows = connection.exec_driver_sql(
                "SELECT stream_id, block, pos, asset_id, amount FROM movement"
            ).all()
            held = connection.exec_driver_sql(
                "SELECT stream_id, asset_id, amount, movements FROM balance"
            ).all()
        sums: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        by_stream: defaultdict[int, set[Placed]] = defaultdict(set)
        for stream_id, block, pos, asset_id, amount in rows:
            total = sums[stream_id, asset_id]
            total[0] += int(amount)
            total[1] += 1
            by_stream[stream_id].add((block, pos, asset_id, amount))
        wrong = {key: total for key, total in sums.items() if total != [0, 0]}
        stored = {(row[0], row[1]): [int(row[2]), row[3]] for row in held if row[3] or int(row[2])}
        assert wrong == stored, f"balances are not the sums of their movements after {label}"
        for stream_id, token, settled_block in streams:
            assert token >= self._tokens.get(stream_id, 0), f"a token shrank after {label}"
            self._tokens[stream_id] = token
            before, kept = self._settled.get(stream_id, (-1, set()))
            now = {row for row in by_stream[stream_id] if row[0] <= settled_block}
            if settled_block < before:
                assert label == "close", f"settled_block shrank after {label}"
            else:
                assert {row for row in now if row[0] <= before} == kept, (
                    f"a settled row changed after {label}"
                )
            self._settled[stream_id] = (settled_block, now)
