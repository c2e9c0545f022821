"""The recorded facts, in the words of each Etherscan-like provider."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

FACTS = Path(__file__).parent / "fixtures" / "etherscan_like" / "facts.json"

Row = dict[str, Any]


class Dialect(NamedTuple):
    """How a provider says things; ``nested`` numbering of internals or flat."""

    nothing: Callable[[str], dict[str, Any]]
    internal: Callable[[Row], Row]


def wallets() -> list[dict[str, Any]]:
    """Wallets with their facts by feed."""
    found: list[dict[str, Any]] = json.loads(FACTS.read_text())["wallets"]
    return found


def answer(rows: list[Row]) -> dict[str, Any]:
    """A page of rows."""
    return {"status": "1", "message": "OK", "result": rows}


def native(fact: Row) -> Row:
    """A row of txlist; all three say it alike."""
    return {
        "blockNumber": str(fact["block"]),
        "blockHash": fact["block_hash"],
        "timeStamp": str(fact["time"]),
        "hash": fact["tx"],
        "transactionIndex": str(fact["index"]),
        "from": fact["from"],
        "to": fact["to"],
        "value": fact["wei"],
        "gasPrice": fact["gas_price"],
        "gasUsed": fact["gas_used"],
        "contractAddress": fact["created"],
        "isError": "1" if fact["failed"] else "0",
        "txreceipt_status": "0" if fact["failed"] else "1",
        "confirmations": "12",
        "input": "0x",
    }


def erc20(fact: Row) -> Row:
    """A row of tokentx; all three say it alike."""
    return {
        "blockNumber": str(fact["block"]),
        "blockHash": fact["block_hash"],
        "timeStamp": str(fact["time"]),
        "hash": fact["tx"],
        "transactionIndex": str(fact["index"]),
        "from": fact["from"],
        "to": fact["to"],
        "value": fact["units"],
        "contractAddress": fact["contract"],
        "tokenName": fact["name"],
        "tokenSymbol": fact["symbol"],
        "tokenDecimal": fact["decimals"],
        "confirmations": "12",
    }


def _internal(fact: Row) -> Row:
    return {
        "blockNumber": str(fact["block"]),
        "timeStamp": str(fact["time"]),
        "from": fact["from"],
        "to": fact["to"],
        "value": fact["wei"],
        "contractAddress": "",
        "type": fact["type"],
        "isError": "0",
        "errCode": "",
    }


def _etherscan_internal(fact: Row) -> Row:
    return {**_internal(fact), "hash": fact["tx"], "traceId": fact["trace"]["nested"]}


def _routescan_internal(fact: Row) -> Row:
    return {**_internal(fact), "hash": fact["tx"], "traceId": fact["trace"]["flat"]}


def _blockscout_internal(fact: Row) -> Row:
    own = {"transactionHash": fact["tx"], "index": fact["trace"]["flat"], "callType": fact["type"]}
    return {**_internal(fact), **own}


def _nothing(message: str) -> dict[str, Any]:
    return {"status": "0", "message": message, "result": []}


def _blockscout_nothing(action: str) -> dict[str, Any]:
    messages = {
        "txlist": "No transactions found",
        "txlistinternal": "No internal transactions found",
    }
    return _nothing(messages.get(action, "No token transfers found"))


def _routescan_nothing(action: str) -> dict[str, Any]:
    return _nothing("No transactions found") if action == "txlistinternal" else answer([])


DIALECTS = {
    "etherscan": Dialect(lambda _: _nothing("No transactions found"), _etherscan_internal),
    "blockscout": Dialect(_blockscout_nothing, _blockscout_internal),
    "routescan": Dialect(_routescan_nothing, _routescan_internal),
}
