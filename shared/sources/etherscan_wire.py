"""The shapes of Etherscan-like answers, decoded into the few fields that are needed.

msgspec decodes these five times faster than json.loads. Field lists: reference/providers.md 3.1
and 3.2, read off recorded answers.
"""

import json
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from shared.sources.etherscan_fields import Text

T = TypeVar("T")


class RestBlock(msgspec.Struct):
    """What Blockscout's REST API says of a block."""

    height: Text = None
    hash: Text = None


class Envelope(msgspec.Struct):
    """What stands around every answer: Etherscan's three fields, or those of JSON-RPC."""

    status: Text = None
    message: Any = None
    result: Any = None
    error: Any = None


class Page(msgspec.Struct, Generic[T]):
    """An answer that is a list of rows."""

    result: list[T]
    status: Text = None
    message: Text = None


class NativeRow(msgspec.Struct, rename="camel"):
    """A row of txlist."""

    block_number: Text = None
    block_hash: Text = None
    time_stamp: Text = None
    hash: Text = None
    transaction_index: Text = None
    sender: Text = msgspec.field(default=None, name="from")
    to: Text = None
    value: Text = None
    gas_price: Text = None
    gas_used: Text = None
    contract_address: Text = None
    is_error: Text = None
    txreceipt_status: Text = msgspec.field(default=None, name="txreceipt_status")


class InternalRow(msgspec.Struct, rename="camel"):
    """A row of txlistinternal, in the words of Etherscan and Routescan or of Blockscout."""

    block_number: Text = None
    time_stamp: Text = None
    hash: Text = None
    transaction_hash: Text = None
    sender: Text = msgspec.field(default=None, name="from")
    to: Text = None
    value: Text = None
    contract_address: Text = None
    type: Text = None
    call_type: Text = None
    trace_id: Text = None
    index: Text = None
    is_error: Text = None
    err_code: Text = None


class TokenRow(msgspec.Struct, rename="camel"):
    """A row of tokentx, tokennfttx or token1155tx."""

    block_number: Text = None
    block_hash: Text = None
    time_stamp: Text = None
    hash: Text = None
    transaction_index: Text = None
    sender: Text = msgspec.field(default=None, name="from")
    to: Text = None
    value: Text = None
    contract_address: Text = None
    token_id: Text = msgspec.field(default=None, name="tokenID")
    token_value: Text = None
    token_name: Text = None
    token_symbol: Text = None
    token_decimal: Text = None


class WithdrawalRow(msgspec.Struct, rename="camel"):
    """A row of txsBeaconWithdrawal; ``amount`` is in gwei."""

    block_number: Text = None
    timestamp: Text = None
    time_stamp: Text = None
    withdrawal_index: Text = None
    address: Text = None
    amount: Text = None


def decoded(body: bytes, shape: type[T]) -> T:
    """``body`` as ``shape``; text that is no proper Unicode does not fail it.

    Spam tokens carry broken UTF-8 and lone surrogates in their names, which msgspec refuses.

    Raises:
        msgspec.DecodeError: The body is no JSON, or is cut.
        msgspec.ValidationError: It is JSON of another shape.
    """
    try:
        wanted: Any = shape
        found: T = _decoder(wanted).decode(body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _loosely_decoded(body, shape)
    return found


def _loosely_decoded(body: bytes, shape: type[T]) -> T:
    """The same by the slower and more lenient way."""
    try:
        loose = json.loads(body.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError) as exc:
        raise msgspec.DecodeError(type(exc).__name__) from None
    return msgspec.convert(loose, type=shape)


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of a shape, made once."""
    return msgspec.json.Decoder(shape)
