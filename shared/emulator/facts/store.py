"""Real public-chain facts, served in each provider's form; see PROVENANCE.md."""

import json
from collections import defaultdict
from collections.abc import Collection
from importlib.resources import files
from typing import Any, NamedTuple

from shared.emulator.events import (
    Event,
    Genesis,
    Internal,
    Token,
    Transfer,
    Tx,
    Withdrawal,
    action_of,
)
from shared.emulator.store import EventRows, Feed, Header, Rows
from shared.emulator.wire import Stamp

NOWHERE = Stamp("", "0")


class _Place(NamedTuple):
    """A feed of a wallet on a chain, the same from every provider."""

    chain_id: int
    account: str
    action: str


class FactsStore:
    """The wallets of the kept facts; every provider serves all of them."""

    def __init__(self) -> None:
        self.heads: dict[int, int] = {}
        self.wallets: list[tuple[bytes, int]] = []
        self._feeds: defaultdict[_Place, list[Event]] = defaultdict(list)
        self._stamps: dict[tuple[int, int], Stamp] = {}

    def chains(self, provider: str) -> Collection[int]:  # noqa: ARG002
        """See ``RowStore.chains``."""
        return self.heads.keys()

    def refusal(self, provider: str, chain_id: int) -> str | None:  # noqa: ARG002
        """See ``RowStore.refusal``."""
        return None

    def head(self, chain_id: int) -> int:
        """See ``RowStore.head``."""
        return self.heads[chain_id]

    def header(self, chain_id: int, block: int) -> Header | None:
        """See ``RowStore.header``; known are only blocks whose hash is among the facts."""
        stamp = self._stamps.get((chain_id, block), NOWHERE)
        return Header(stamp.block_hash, int(stamp.time_s)) if stamp.block_hash else None

    def rows(self, feed: Feed) -> Rows:
        """See ``RowStore.rows``."""
        events = self._feeds.get(_Place(feed.chain_id, feed.account, feed.action), [])
        chain_id = feed.chain_id
        return EventRows(events, feed, lambda block: self._stamps.get((chain_id, block), NOWHERE))

    def events(self, account: bytes, chain_id: int) -> list[Event]:
        """Everything that the facts tell of a wallet on a chain."""
        name = "0x" + account.hex()
        found = [events for place, events in self._feeds.items() if place[:2] == (chain_id, name)]
        return [event for events in found for event in events]

    def add(self, wallet: str, chain_id: int, facts: dict[str, Any]) -> None:
        """Take in what a file tells of one wallet on one chain."""
        account = bytes.fromhex(wallet[2:])
        self.wallets.append((account, chain_id))
        self.heads[chain_id] = max(self.heads.get(chain_id, 0), facts["head"])
        for event in self._read(account, chain_id, facts):
            self._feeds[_Place(chain_id, wallet, action_of(event))].append(event)
        for place, events in self._feeds.items():
            if place[:2] == (chain_id, wallet):
                events.sort(key=lambda event: event.block)

    def _read(self, account: bytes, chain_id: int, facts: dict[str, Any]) -> list[Event]:
        accounts: list[bytes] = [bytes.fromhex(text) for text in facts["accounts"]]
        named: dict[int | None, bytes | None] = {None: None, **dict(enumerate(accounts))}
        tokens = [Token(accounts[row[0]], *row[1:]) for row in facts["tokens"]]
        events: list[Event] = []
        txs: list[Tx] = []
        for row in facts["transactions"]:
            block, time_s, block_hash, number, tx_hash, nonce, sender, to, created, value, *rest = (
                row
            )
            gas_used, gas_price, failed, listed = rest
            txs.append(
                Tx(
                    block=block,
                    number=number,
                    uid=nonce,
                    sender=named[sender] or b"",
                    to=named[to],
                    created=named[created],
                    value=int(value),
                    gas_used=gas_used,
                    gas_price=gas_price,
                    failed=bool(failed),
                    real_hash=bytes.fromhex(tx_hash),
                )
            )
            self._stamp(chain_id, block, block_hash, time_s)
            if listed:
                events.append(txs[-1])
        for value, time_s in facts["genesis"]:
            events.append(Genesis(0, account, int(value)))
            self._stamp(chain_id, 0, "", time_s)
        for tx, trace, sender, to, created, value, call, failed in facts["internals"]:
            source, target, made = accounts[sender], named[to], named[created]
            kept = (int(value), call, bool(failed))
            events.append(Internal(txs[tx], trace, source, target, made, *kept))
        for tx, token, sender, to, value in facts["transfers"]:
            pair = (accounts[sender], accounts[to])
            events.append(Transfer(txs[tx], tokens[token], *pair, int(value), None))
        for block, time_s, number, validator, gwei in facts["withdrawals"]:
            events.append(Withdrawal(block, number, validator, account, gwei))
            self._stamp(chain_id, block, "", time_s)
        return events

    def _stamp(self, chain_id: int, block: int, block_hash: str, time_s: int) -> None:
        known = self._stamps.get((chain_id, block), NOWHERE)
        shown = "0x" + block_hash if block_hash else known.block_hash
        self._stamps[chain_id, block] = Stamp(shown, str(time_s))


def load_facts() -> FactsStore:
    """Read every fact that the project keeps."""
    store = FactsStore()
    for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json"):
            document = json.loads(entry.read_text(encoding="utf-8"))
            for chain_id, facts in document["chains"].items():
                store.add(document["wallet"], int(chain_id), facts)
    return store
