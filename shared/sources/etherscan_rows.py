"""What the rows of Etherscan-like feeds mean for an address.

Field lists: reference/providers.md 3.1 and 3.2, read off recorded answers.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from schema.types import AssetStandard, MovementKind, StreamKind
from shared.sources import etherscan_fields as field
from shared.sources.base import NATIVE, AssetRef, Draft, Row, TokenInfo
from shared.sources.catalog import ChainInfo
from shared.sources.etherscan_fields import BadFieldError, Text
from shared.sources.etherscan_wire import InternalRow, NativeRow, TokenRow, WithdrawalRow

GWEI = 10**9
ZERO_ADDRESS = bytes(20)
HIGHEST_TIME_S = 4_102_444_800  # the year 2100: no block is that young
VALUELESS_CALLS = frozenset({"delegatecall", "staticcall", "callcode"})
CREATIONS = frozenset({"create", "create2"})


class Account(NamedTuple):
    """Whose history is read, and by which provider's numbering of internals."""

    chain: ChainInfo
    address: bytes
    flat_traces: bool


Tokens = dict[AssetRef, TokenInfo]
coin = lru_cache(maxsize=4096)(AssetRef)  # a page repeats its assets


class Feed(NamedTuple):
    """The action that serves a feed, the shape of its rows and their reading."""

    action: str
    rows: type[msgspec.Struct]
    read: Callable[[Any, Account, Tokens], Row]


def _sides(
    address: bytes,
    place: tuple[int, bytes, MovementKind],
    asset: AssetRef,
    sender: bytes | None,
    receiver: bytes | None,
    amount: int,
    identity: bytes = b"",
) -> tuple[Draft, ...]:
    """The sides that ``address`` has in a transfer: none, one, or both of a self transfer.

    ``place`` is the transaction's index and hash, and the kind.
    """
    sides: tuple[Draft, ...] = ()
    if sender == address:
        sides = (Draft(*place, 0, asset, receiver, -amount, identity),)
    if receiver == address:
        sides += (Draft(*place, 1, asset, sender, amount, identity),)
    return sides


def _native(row: NativeRow, account: Account, tokens: Tokens) -> Row:
    """A transaction: its value, and its fee for the sender."""
    block, at_s = _place(row.block_number, row.time_stamp)
    if str(row.hash).startswith("GENESIS"):
        return _genesis(row, block, at_s, account, tokens)
    sender = field.required_address("from", row.sender)
    receiver = field.address("to", row.to) or field.address("contractAddress", row.contract_address)
    _takes_part(account, sender, receiver)
    tx_hash = field.digest("hash", row.hash)
    tx_index = field.number("transactionIndex", row.transaction_index, field.HIGHEST_TX_INDEX)
    value = field.number("value", row.value)
    drafts: tuple[Draft, ...] = ()
    if value and _succeeded(row):
        place = (tx_index, tx_hash, MovementKind.TRANSFER)
        drafts = _sides(account.address, place, NATIVE, sender, receiver, value)
    fee = _fee(row) if sender == account.address else 0
    if fee:
        drafts += (Draft(tx_index, tx_hash, MovementKind.FEE, 2, NATIVE, None, -fee, b""),)
    _note_native(tokens, account.chain)
    return Row(block, at_s, tx_hash, field.optional_digest("blockHash", row.block_hash), drafts)


def _genesis(row: NativeRow, block: int, at_s: int, account: Account, tokens: Tokens) -> Row:
    """An allocation of the genesis block, which has no transaction: named after the address."""
    receiver = field.address("to", row.to)
    _takes_part(account, receiver)
    value = field.number("value", row.value)
    address = account.address
    draft = Draft(0, address, MovementKind.GENESIS, 1, NATIVE, None, value, b"")
    _note_native(tokens, account.chain)
    return Row(block, at_s, address, None, (draft,) if value else ())


def _internal(row: InternalRow, account: Account, tokens: Tokens) -> Row:
    """A call inside a transaction that carried value."""
    block, at_s = _place(row.block_number, row.time_stamp)
    # A reward has an empty sender; a row without the field might hide that we paid.
    sender = None if row.sender == "" else field.required_address("from", row.sender)
    receiver = field.address("to", row.to) or field.address("contractAddress", row.contract_address)
    _takes_part(account, sender, receiver)
    tx_hash = field.digest("hash", row.hash if row.hash is not None else row.transaction_hash)
    value = field.number("value", row.value)
    drafts: tuple[Draft, ...] = ()
    if value and _moves_value(row, account):
        place = (0, tx_hash, MovementKind.INTERNAL)
        drafts = _sides(account.address, place, NATIVE, sender, receiver, value, _trace(row))
    _note_native(tokens, account.chain)
    return Row(block, at_s, tx_hash, None, drafts)


def _token(row: TokenRow, account: Account, tokens: Tokens) -> Row:
    """A Transfer event of an ERC-20 contract."""
    contract = _contract(row)
    if row.token_id not in {None, ""}:
        # An old Blockscout mixes all standards into tokentx: this one is in a feed of its own.
        return _token_row(row, account, None)
    chain = account.chain
    asset = coin(contract)
    aliases = chain.native_aliases
    alias = next((a for a in aliases if a.contract == contract), None) if aliases else None
    if alias is not None:
        # A plain transfer of the alias is in txlist or among the internals already.
        if not (alias.mints and _is_mint_or_burn(row, account)):
            return _token_row(row, account, None)
        asset = NATIVE
        _note_native(tokens, chain)
    elif _is_silent_wrap(contract, chain) and _is_mint_or_burn(row, account):
        # Blockscout serves Deposit and Withdrawal as transfers, both to 0x0: no sum is right.
        return _token_row(row, account, None)
    elif asset not in tokens:
        tokens[asset] = _token_info(row, AssetStandard.ERC20)
    amount = field.number("value", row.value)
    return _token_row(row, account, (MovementKind.ERC20, asset, amount))


def _nft(row: TokenRow, account: Account, tokens: Tokens) -> Row:
    """A Transfer event of an ERC-721 contract."""
    asset = AssetRef(_contract(row), field.number("tokenID", row.token_id))
    tokens[asset] = _token_info(row, AssetStandard.ERC721)._replace(decimals=None)
    return _token_row(row, account, (MovementKind.ERC721, asset, 1))


def _multi_token(row: TokenRow, account: Account, tokens: Tokens) -> Row:
    """One id of a TransferSingle or TransferBatch event of an ERC-1155 contract."""
    asset = AssetRef(_contract(row), field.number("tokenID", row.token_id))
    amount = field.number("tokenValue", row.token_value)
    tokens[asset] = _token_info(row, AssetStandard.ERC1155)
    return _token_row(row, account, (MovementKind.ERC1155, asset, amount))


def _withdrawal(row: WithdrawalRow, account: Account, tokens: Tokens) -> Row:
    """A payment by the consensus layer, which has no transaction."""
    block, at_s = _place(
        row.block_number, row.timestamp if row.timestamp is not None else row.time_stamp
    )
    receiver = field.address("address", row.address)
    _takes_part(account, receiver)
    index = field.number("withdrawalIndex", row.withdrawal_index)
    amount = field.number("amount", row.amount, field.UINT256 // GWEI) * GWEI
    identity = str(index).encode("ascii")
    draft = Draft(0, b"", MovementKind.WITHDRAWAL, 1, NATIVE, None, amount, identity)
    _note_native(tokens, account.chain)
    return Row(block, at_s, b"", None, (draft,) if amount else ())


FEEDS: dict[StreamKind, Feed] = {
    StreamKind.NATIVE: Feed("txlist", NativeRow, _native),
    StreamKind.INTERNAL: Feed("txlistinternal", InternalRow, _internal),
    StreamKind.ERC20: Feed("tokentx", TokenRow, _token),
    StreamKind.ERC721: Feed("tokennfttx", TokenRow, _nft),
    StreamKind.ERC1155: Feed("token1155tx", TokenRow, _multi_token),
    StreamKind.WITHDRAWAL: Feed("txsBeaconWithdrawal", WithdrawalRow, _withdrawal),
}


@lru_cache(maxsize=4096)
def _place(block: Text, at_s: Text) -> tuple[int, int]:
    """Block number and time of a row; the rows of a block repeat them."""
    return (
        field.number("blockNumber", block, field.HIGHEST_BLOCK),
        field.number("timeStamp", at_s, HIGHEST_TIME_S),
    )


def _takes_part(account: Account, *parties: bytes | None) -> None:
    """Refuse a row of somebody else."""
    if account.address not in parties:
        shown = ", ".join("0x" + party.hex() for party in parties if party is not None)
        what = "a row of other addresses came: from or to"
        raise BadFieldError(what, shown)


def _succeeded(row: NativeRow) -> bool:
    """Whether a transaction moved its value. Before Byzantium there is no receipt status."""
    if row.is_error not in {None, ""}:
        return field.number("isError", row.is_error, 1) == 0
    if row.txreceipt_status is None:
        missing = "isError"
        raise BadFieldError(missing, None)
    return row.txreceipt_status == "" or bool(
        field.number("txreceipt_status", row.txreceipt_status, 1)
    )


def _fee(row: NativeRow) -> int:
    """Gas used at the effective price, which is what these feeds call gasPrice."""
    fee = field.number("gasUsed", row.gas_used) * field.number("gasPrice", row.gas_price)
    return field.number("gasUsed * gasPrice", fee)


def _moves_value(row: InternalRow, account: Account) -> bool:
    """Whether an internal row with a value moved it."""
    if row.is_error not in {None, ""}:
        if field.number("isError", row.is_error, 1):
            return False
    elif row.err_code not in {None, ""}:
        return False
    words = {str(row.type).lower(), str(row.call_type).lower()}
    if words & VALUELESS_CALLS:
        return False
    # Number 0 of a flat numbering is the transaction itself; its creation is in txlist already.
    is_transaction = account.flat_traces and _trace(row) == b"0"
    return not (is_transaction and words & CREATIONS)


def _trace(row: InternalRow) -> bytes:
    """The provider's own number of an internal row."""
    mark = row.trace_id if row.trace_id is not None else row.index
    return b"" if mark is None else str(mark).encode("ascii", "replace")


def _contract(row: TokenRow) -> bytes:
    """The contract of a token row."""
    return field.required_address("contractAddress", row.contract_address)


def _is_mint_or_burn(row: TokenRow, account: Account) -> bool:
    """Whether the other side of a token row is nobody."""
    sides = {field.address("from", row.sender), field.address("to", row.to)}
    return ZERO_ADDRESS in sides - {account.address}


def _is_silent_wrap(contract: bytes, chain: ChainInfo) -> bool:
    """Whether this is a wrapped native coin that emits no Transfer when it wraps and unwraps."""
    return contract == chain.wrapped_native and not chain.wrapped_emits_transfer


def _token_row(
    row: TokenRow, account: Account, moved: tuple[MovementKind, AssetRef, int] | None
) -> Row:
    """A row of a token feed with what it moved."""
    block, at_s = _place(row.block_number, row.time_stamp)
    sender = field.required_address("from", row.sender)
    receiver = field.required_address("to", row.to)
    tx_hash = field.digest("hash", row.hash)
    tx_index = field.number("transactionIndex", row.transaction_index, field.HIGHEST_TX_INDEX)
    drafts: tuple[Draft, ...] = ()
    if moved is not None:
        kind, asset, amount = moved
        place = (tx_index, tx_hash, kind)
        drafts = _sides(account.address, place, asset, sender, receiver, amount)
    if not drafts:
        _takes_part(account, sender, receiver, _contract(row))
    return Row(block, at_s, tx_hash, field.optional_digest("blockHash", row.block_hash), drafts)


def _token_info(row: TokenRow, standard: AssetStandard) -> TokenInfo:
    """What a token row says of its token."""
    return TokenInfo(
        standard,
        field.symbol(row.token_symbol),
        field.name(row.token_name),
        field.decimals(row.token_decimal),
    )


def _note_native(tokens: Tokens, chain: ChainInfo) -> None:
    """What the chain table says of its coin."""
    if NATIVE not in tokens:
        tokens[NATIVE] = TokenInfo(
            AssetStandard.NATIVE, chain.native_symbol, chain.native_name, chain.decimals
        )
