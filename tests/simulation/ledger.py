"""What the ledger says, in the oracle's words, and what must be true of it after every commit."""

import sqlite3
from collections import Counter, defaultdict

from schema.types import MovementKind
from shared.emulator.truth import Move

MOVEMENTS = """
SELECT s.kind, m.block, m.tx_hash, a.contract, a.token_id, m.counterparty, m.amount, m.kind,
  m.at / 1000000
FROM movement m JOIN stream s ON s.id = m.stream_id JOIN asset a ON a.id = m.asset_id
JOIN address d ON d.id = s.address_id WHERE d.account = ? AND s.chain_id = ? AND s.live
"""
BALANCES = """
SELECT a.contract, a.token_id, b.amount FROM balance b JOIN stream s ON s.id = b.stream_id
JOIN asset a ON a.id = b.asset_id JOIN address d ON d.id = s.address_id
WHERE d.account = ? AND s.chain_id = ? AND s.live
"""


def movements(driver: sqlite3.Connection, account: str, chain_id: int) -> Counter[Move]:
    """Every movement of an account, without its place."""
    rows = driver.execute(MOVEMENTS, (account, chain_id)).fetchall()
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
            row[8],
        )
        for row in rows
    )


def balances(
    driver: sqlite3.Connection, account: str, chain_id: int
) -> dict[tuple[bytes | None, int | None], int]:
    """Balances over all live streams, zeros left out."""
    sums: defaultdict[tuple[bytes | None, int | None], int] = defaultdict(int)
    for contract, token_id, amount in driver.execute(BALANCES, (account, chain_id)):
        sums[contract, None if token_id is None else int(token_id)] += int(amount)
    return {asset: amount for asset, amount in sums.items() if amount}


Placed = tuple[int, int, int, str, int, bytes, bytes | None, int]
WRITES = frozenset({"page", "page again", "close", "lease", "user", "flip", "retire"})
STREAMS = """
SELECT id, lease_holder, state, error_code, resting_since IS NOT NULL, live, created_at,
  lease_token, settled_block, next_block FROM stream
"""
TWICE = "SELECT kind FROM stream WHERE live GROUP BY address_id, chain_id, kind HAVING count(*) > 1"
ORPHANS = """
SELECT stream_id FROM movement WHERE stream_id NOT IN (SELECT id FROM stream)
UNION SELECT stream_id FROM balance WHERE stream_id NOT IN (SELECT id FROM stream)
"""
WHOLE = frozenset({"user", "flip", "retire"})
LAST_OUTCOME = "SELECT outcome FROM run WHERE stream_id = ? ORDER BY id DESC LIMIT 1"
NEEDS_A_CAUSE = frozenset({"snoozed", "stopped", "dead"})
ROWS = """
SELECT block, pos, asset_id, amount, kind, tx_hash, counterparty, at FROM movement
WHERE stream_id = ?
"""
HELD = "SELECT asset_id, amount, movements FROM balance WHERE stream_id = ?"


class Invariants:
    """Checked after every commit: balances are sums, tokens grow, settled rows stay."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver
        self._streams: dict[int, tuple[int, int, int]] = {}
        self._settled: dict[int, set[Placed]] = {}
        self._since: dict[int, int] = {}

    def check(self, label: str, writer: str) -> None:
        """Raise when the last commit broke one of them; only streams that it touched are read."""
        if label not in WRITES:
            return
        if label in WHOLE:
            assert not self._driver.execute(TWICE).fetchall(), f"a feed is live twice after {label}"
            assert not self._driver.execute(ORPHANS).fetchall(), f"orphans after {label}"
        streams = self._driver.execute(STREAMS).fetchall()
        for stream_id, holder, state, error, resting, live, since, *now in streams:
            named = error is not None or state not in NEEDS_A_CAUSE
            assert named, f"stream {stream_id} is {state} without a cause after {label}"
            if self._streams.get(stream_id) != tuple(now):
                stale = label.startswith("page") and holder != writer
                assert not stale, f"{writer} wrote a page of a stream that {holder} holds"
                unwanted = resting and label == "lease"
                assert not unwanted, f"{writer} took a stream that nobody wants"
                if self._since.setdefault(stream_id, since) != since:
                    self._begun_anew(stream_id, since)
                if resting and not live:
                    self._check_given_up(label, stream_id, now[0])
                else:
                    self._check_stream(label, stream_id, *now)
                self._streams[stream_id] = (now[0], now[1], now[2])

    def expect_rewind(self) -> None:
        """Somebody lowered settled blocks from outside."""
        self._streams.clear()
        self._settled.clear()

    def _begun_anew(self, stream_id: int, since: int) -> None:
        """SQLite gave the id of a deleted stream to another; tokens must grow even so."""
        self._since[stream_id] = since
        self._settled.pop(stream_id, None)
        token, _, next_block = self._streams[stream_id]
        self._streams[stream_id] = (token, -1, next_block)

    def _check_given_up(self, label: str, stream_id: int, token: int) -> None:
        """Its rows go one after the other; nobody else may write to it."""
        assert not label.startswith("page"), "a page was written to a stream that was given up"
        token_before = self._streams.get(stream_id, (0, -1, 0))[0]
        assert token >= token_before, f"a token shrank after {label}"

    def _check_stream(self, label: str, stream_id: int, token: int, settled: int, _: int) -> None:
        rows: list[Placed] = self._driver.execute(ROWS, (stream_id,)).fetchall()
        sums: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        for row in rows:
            asset_id, amount = row[2], row[3]
            total = sums[asset_id]
            total[0] += int(amount)
            total[1] += 1
        held = self._driver.execute(HELD, (stream_id,)).fetchall()
        stored = {row[0]: [int(row[1]), row[2]] for row in held if row[2] or int(row[1])}
        assert sums == stored, f"balances are not the sums of their movements after {label}"
        token_before, settled_before, _ = self._streams.get(stream_id, (0, -1, 0))
        assert token >= token_before, f"a token shrank after {label}"
        now = {row for row in rows if row[0] <= settled}
        if label == "close":
            assert settled <= settled_before, "a close settled blocks that nobody read"
        if settled < settled_before:
            last = self._driver.execute(LAST_OUTCOME, (stream_id,)).fetchone()
            assert label == "close", f"settled_block shrank after {label}"
            assert last == ("rewound",), f"settled_block shrank by a close with outcome {last}"
        else:
            kept = {row for row in now if row[0] <= settled_before}
            assert kept == self._settled.get(stream_id, set()), f"a settled row changed: {label}"
        self._settled[stream_id] = now
