"""The floor of the history endpoint: one handler over psycopg, without owner, filters or cursors.

It answers one page of the same rows, newest first, of all live streams of one address.
"""

import os
import threading
from datetime import UTC, datetime

import msgspec
import psycopg
from fastapi import FastAPI, Response

PAGE = """
SELECT s.chain_id, x.block, x.pos, x.at, x.tx_hash, x.kind, x.counterparty, x.amount::text,
  a.contract, a.symbol, a.decimals, a.token_id::text
FROM tallybook.stream s
CROSS JOIN LATERAL (SELECT * FROM tallybook.movement m WHERE m.stream_id = s.id
  ORDER BY m.block DESC, m.pos DESC LIMIT %(most)s) x
JOIN tallybook.asset a ON a.id = x.asset_id
WHERE s.address_id = %(address)s AND s.live
ORDER BY x.at DESC, s.chain_id, x.block DESC, x.pos DESC, s.id LIMIT %(most)s
"""
WALLET = "SELECT address_id FROM tallybook.wallet WHERE id = %(id)s"


class Line(msgspec.Struct):
    """One movement, as the product's own answer has it."""

    chain_id: int
    block: int
    at: datetime
    tx_hash: str
    kind: int
    direction: str
    counterparty: str | None
    contract: str | None
    symbol: str | None
    decimals: int | None
    token_id: str | None
    amount_raw: str


app = FastAPI()
kept = threading.local()


def connection() -> psycopg.Connection:
    """One connection for each thread of the server."""
    if not hasattr(kept, "connection"):
        kept.connection = psycopg.connect(
            os.environ["DATABASE_URL"],  # noqa: TID251 - a server of its own
            autocommit=True,
            prepare_threshold=None,
        )
    found: psycopg.Connection = kept.connection
    return found


@app.get("/api/wallets/{wallet_id}/history")
def history(wallet_id: int, limit: int = 100) -> Response:
    """The newest page."""
    link = connection()
    found = link.execute(WALLET, {"id": wallet_id}).fetchone()
    assert found is not None
    rows = link.execute(PAGE, {"address": found[0], "most": limit}, binary=True).fetchall()
    lines = [
        Line(
            chain_id,
            block,
            at.astimezone(UTC),
            "0x" + tx_hash.hex(),
            kind,
            "out" if amount.startswith("-") else "in",
            None if counterparty is None else "0x" + counterparty.hex(),
            None if contract is None else "0x" + contract.hex(),
            symbol,
            decimals,
            token_id,
            amount,
        )
        for (
            chain_id,
            block,
            _,
            at,
            tx_hash,
            kind,
            counterparty,
            amount,
            contract,
            symbol,
            decimals,
            token_id,
        ) in rows
    ]
    return Response(msgspec.json.encode({"items": lines}), media_type="application/json")
