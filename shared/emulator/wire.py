"""Events as the rows that each provider serves: its fields, in its order, all values text.

Fields and their order are read from recorded answers of 2025 and 2026. ``confirmations`` is a
placeholder here; the provider fills it from the head when it answers.
"""

from collections.abc import Callable
from typing import NamedTuple

from shared.emulator.events import (
    ERC721,
    ERC1155,
    Event,
    Genesis,
    Internal,
    Transfer,
    Tx,
    Withdrawal,
)

BLOCKSCOUT = "blockscout"
ETHERSCAN = "etherscan"
ROUTESCAN = "routescan"
PROVIDERS = (ETHERSCAN, BLOCKSCOUT, ROUTESCAN)

WireRow = dict[str, str]


class Stamp(NamedTuple):
    """A block's hash in hex and its time, as rows show them."""

    block_hash: str
    time_s: str


def wire_row(provider: str, event: Event, stamp: Callable[[int], Stamp]) -> WireRow:
    """The row that a provider serves for an event."""
    if isinstance(event, Tx):
        return _tx_row(provider, event, stamp(event.block))
    if isinstance(event, Transfer):
        return _transfer_row(provider, event, stamp(event.block))
    if isinstance(event, Internal):
        return _internal_row(provider, event, stamp(event.block))
    if isinstance(event, Withdrawal):
        return _withdrawal_row(event, stamp(event.block))
    return _genesis_row(event, stamp(event.block))


def hexed(value: bytes | None) -> str:
    """Lower-case hex with 0x; empty for nothing."""
    return "" if value is None else "0x" + value.hex()


def _nonce(tx: Tx) -> str:
    return str(tx.uid & 0xFFFFFFFF)


def _tx_row(provider: str, tx: Tx, stamp: Stamp) -> WireRow:
    method = "0x" if tx.to is None or tx.value else "0xa9059cbb"
    base = {
        "blockNumber": str(tx.block),
        "blockHash": stamp.block_hash,
        "timeStamp": stamp.time_s,
        "hash": hexed(tx.hash),
        "nonce": _nonce(tx),
        "transactionIndex": str(tx.number),
        "from": hexed(tx.sender),
        "to": hexed(tx.to),
        "value": str(tx.value),
        "gas": str(tx.gas_used * 6 // 5),
        "gasPrice": str(tx.gas_price),
        "input": method,
        "methodId": method,
        "functionName": "",
        "contractAddress": hexed(tx.created),
        "cumulativeGasUsed": str(tx.gas_used + 21_000 * tx.number),
        "txreceipt_status": "0" if tx.failed else "1",
        "gasUsed": str(tx.gas_used),
        "confirmations": "",
        "isError": "1" if tx.failed else "0",
    }
    return _blockscout_tx(base) if provider == BLOCKSCOUT else base


def _blockscout_tx(base: WireRow) -> WireRow:
    row = {key: base[key] for key in sorted(base) if key != "functionName"}
    row["methodId"] = "0x"
    return row


def _genesis_row(event: Genesis, stamp: Stamp) -> WireRow:
    zeros = dict.fromkeys(("gas", "gasPrice"), "0")
    return {
        "blockNumber": "0",
        "blockHash": "",
        "timeStamp": stamp.time_s,
        "hash": "GENESIS_" + event.account.hex(),
        "nonce": "",
        "transactionIndex": "0",
        "from": "GENESIS",
        "to": hexed(event.account),
        "value": str(event.value),
        **zeros,
        "input": "",
        "methodId": "",
        "functionName": "",
        "contractAddress": "",
        "cumulativeGasUsed": "0",
        "txreceipt_status": "",
        "gasUsed": "0",
        "confirmations": "",
        "isError": "0",
    }


def _internal_row(provider: str, event: Internal, stamp: Stamp) -> WireRow:
    error = "Reverted" if event.failed else ""
    if provider == BLOCKSCOUT:
        to = event.created or event.to
        create = event.call == "create"
        return {
            "blockNumber": str(event.block),
            "callType": "" if create or event.call == "suicide" else event.call,
            "contractAddress": hexed(event.created),
            "errCode": error,
            "from": hexed(event.sender),
            "gas": "85950",
            "gasUsed": "84795",
            "index": str(event.trace + 1),
            "input": "",
            "isError": "1" if event.failed else "0",
            "timeStamp": stamp.time_s,
            "to": hexed(to),
            "transactionHash": hexed(event.tx.hash),
            "type": event.call if create or event.call == "suicide" else "call",
            "value": str(event.value),
        }
    trace = f"0_{event.trace}" if provider == ETHERSCAN else str(event.trace + 10)
    return {
        "blockNumber": str(event.block),
        "timeStamp": stamp.time_s,
        "hash": hexed(event.tx.hash),
        "from": hexed(event.sender),
        "to": hexed(event.to),
        "value": str(event.value),
        "contractAddress": hexed(event.created),
        "input": "",
        "type": event.call,
        "gas": "2300",
        "gasUsed": "0",
        "traceId": trace,
        "isError": "1" if event.failed else "0",
        "errCode": error,
    }


def _transfer_row(provider: str, event: Transfer, stamp: Stamp) -> WireRow:
    tx, token = event.tx, event.token
    row = {
        "blockNumber": str(event.block),
        "timeStamp": stamp.time_s,
        "hash": hexed(tx.hash),
        "nonce": _nonce(tx),
        "blockHash": stamp.block_hash,
        "from": hexed(event.sender),
        "contractAddress": hexed(token.contract),
        "to": hexed(event.to),
        **_amount(event),
        "tokenName": token.name,
        "tokenSymbol": token.symbol,
        **({} if token.decimals is None else {"tokenDecimal": token.decimals}),
        "transactionIndex": str(tx.number),
        "gas": str(tx.gas_used * 6 // 5),
        "gasPrice": str(tx.gas_price),
        "gasUsed": str(tx.gas_used),
        "cumulativeGasUsed": str(tx.gas_used + 21_000 * tx.number),
        "input": "deprecated",
        "methodId": "0xa9059cbb",
        "functionName": "",
        "confirmations": "",
    }
    if provider == BLOCKSCOUT:
        return {key: row[key] for key in sorted(row, key=_blockscout_order)}
    return row


def _blockscout_order(key: str) -> tuple[bool, str]:
    return key != "value", key


def _amount(event: Transfer) -> WireRow:
    if event.token.action == ERC721:
        return {"tokenID": str(event.token_id)}
    if event.token.action == ERC1155:
        return {"tokenID": str(event.token_id), "tokenValue": str(event.value)}
    return {"value": str(event.value)}


def _withdrawal_row(event: Withdrawal, stamp: Stamp) -> WireRow:
    return {
        "withdrawalIndex": str(event.number),
        "validatorIndex": str(event.validator),
        "address": hexed(event.account),
        "amount": str(event.gwei),
        "blockNumber": str(event.block),
        "timestamp": stamp.time_s,
    }
