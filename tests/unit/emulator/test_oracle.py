import json
from collections import Counter, defaultdict
from typing import Any

import pytest

from shared.emulator.events import ACTIONS, INTERNAL, Genesis, Transfer, Tx, Withdrawal, parties
from shared.emulator.oracle import balances, movements, oracle_document
from shared.emulator.provider import EtherscanLike
from shared.emulator.store import WorldStore
from shared.emulator.truth import moves_of
from shared.emulator.world import World, WorldConfig

WORLD = World(11, WorldConfig(blocks=250))
WALLET, OTHER = b"\x01" * 20, b"\x02" * 20
PATHS = {
    "etherscan": "/etherscan/v2/api",
    "blockscout": "/blockscout/v2/api",
    "routescan": "/routescan/v2/network/mainnet/evm/1/etherscan/api",
}
TX = Tx(5, 0, 1, WALLET, OTHER, None, 100, 10, 2, failed=False)


def amounts(tx: Tx) -> list[tuple[str, int, bytes | None]]:
    return [(move.kind, move.amount, move.counterparty) for move in moves_of(tx, WALLET)]


def test_a_payment_costs_its_value_and_its_fee() -> None:
    assert amounts(TX) == [("TRANSFER", -100, OTHER), ("FEE", -20, None)]


def test_a_failed_payment_costs_the_fee_only() -> None:
    assert amounts(TX._replace(failed=True)) == [("FEE", -20, None)]


def test_a_failed_payment_to_us_means_nothing() -> None:
    assert amounts(TX._replace(failed=True, sender=OTHER, to=WALLET)) == []


def test_a_payment_to_oneself_is_two_movements_that_cancel() -> None:
    expected = [("TRANSFER", -100, WALLET), ("TRANSFER", 100, WALLET), ("FEE", -20, None)]

    assert amounts(TX._replace(to=WALLET)) == expected


def test_the_value_of_a_creation_goes_to_the_new_contract() -> None:
    created = b"\x03" * 20

    assert amounts(TX._replace(to=None, created=created))[0] == ("TRANSFER", -100, created)


def test_the_balance_is_the_sum_of_the_movements() -> None:
    for wallet in WORLD.wallets:
        sums: Counter[tuple[bytes | None, int | None]] = Counter()
        for move, times in movements(WORLD, wallet).items():
            sums[move.contract, move.token_id] += move.amount * times
        assert {asset: amount for asset, amount in sums.items() if amount} == balances(
            WORLD, wallet
        )


def test_over_all_accounts_only_allocations_and_withdrawals_add_and_fees_take() -> None:
    events = list(WORLD.events())
    accounts = {party for event in events for party in parties(event)}
    total: Counter[tuple[bytes | None, int | None]] = Counter()
    for account in accounts:
        total.update(balances(WORLD, account))

    made = sum(event.value for event in events if isinstance(event, Genesis))
    made += sum(event.gwei * 10**9 for event in events if isinstance(event, Withdrawal))
    burnt = sum(tx.gas_used * tx.gas_price for tx in events if isinstance(tx, Tx))
    assert total.pop((None, None)) == made - burnt
    assert not any(total.values()), "a token came from nowhere"


def test_wallets_stay_rich_enough_to_pay() -> None:
    for wallet in WORLD.wallets:
        assert balances(WORLD, wallet)[None, None] > 0


@pytest.mark.parametrize("provider", PATHS)
def test_the_rows_of_every_provider_add_up_to_the_oracle(provider: str) -> None:
    for wallet in WORLD.wallets:
        name = "0x" + wallet.hex()
        added: defaultdict[tuple[str | None, str | None], int] = defaultdict(int)
        for action in ACTIONS:
            for row in all_rows(provider, action, name):
                add_row(added, action, row, name)

        told = {
            (None if contract is None else "0x" + contract.hex(), str(token_id or 0)): amount
            for (contract, token_id), amount in balances(WORLD, wallet).items()
        }
        assert {asset: amount for asset, amount in added.items() if amount} == told


def test_the_oracle_document_is_plain_json() -> None:
    document = json.loads(json.dumps(oracle_document(WORLD)))

    native = document["0x" + WORLD.wallets[0].hex()]["1"][0]
    amount = str(balances(WORLD, WORLD.wallets[0])[None, None])
    assert native == {"contract": None, "token_id": None, "amount_raw": amount}


def test_token_events_are_seen_from_both_sides() -> None:
    (transfer, *_) = (event for event in WORLD.events() if isinstance(event, Transfer))

    sent = next(moves_of(transfer, transfer.sender))
    received = list(moves_of(transfer, transfer.to))[-1]

    assert sent.amount == -received.amount
    assert (sent.counterparty, received.counterparty) == (transfer.to, transfer.sender)


def all_rows(provider: str, action: str, address: str) -> list[dict[str, str]]:
    asked = {"chainid": "1", "module": "account", "action": action, "address": address}
    answer = EtherscanLike(WorldStore(WORLD)).answer(PATHS[provider], asked, 0.0)
    rows: list[dict[str, str]] = json.loads(answer.body)["result"]
    assert len(rows) < 1000
    return rows


def add_row(added: Any, action: str, row: dict[str, str], wallet: str) -> None:
    if action == "txsBeaconWithdrawal":
        added[None, "0"] += int(row["amount"]) * 10**9
        return
    asset = (None, "0")
    value = int(row.get("value") or row.get("tokenValue") or "1")
    to = row["contractAddress"] or row["to"]
    if action == "txlist":
        value = value if row["isError"] == "0" else 0
        if row["from"] == wallet:
            added[asset] -= int(row["gasUsed"]) * int(row["gasPrice"])
    elif action == INTERNAL:
        kind = row.get("callType") or row["type"]
        good = row["isError"] == "0" and kind not in {"delegatecall", "callcode"}
        value = value if good else 0
    else:
        to = row["to"]
        asset = (row["contractAddress"], row.get("tokenID", "0"))  # type: ignore[assignment]
    if row["from"] == wallet:
        added[asset] -= value
    if to == wallet:
        added[asset] += value
