from collections import Counter
from importlib.resources import files

from shared.emulator.events import ACTIONS
from shared.emulator.facts.store import load_facts
from shared.emulator.store import Feed
from shared.emulator.truth import moves_of
from shared.emulator.wire import PROVIDERS

WALLET = bytes.fromhex("b8553d9ee35dd23bb96fbd679e651b929821969b")
MOST_BYTES = 600 * 1024


def test_the_facts_add_up_to_the_balance_that_is_known() -> None:
    sums: Counter[bytes | None] = Counter()
    for event in load_facts().events(WALLET, 1):
        for move in moves_of(event, WALLET):
            sums[move.contract] += move.amount

    usdc = bytes.fromhex("a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
    assert sums == {None: 240199305584777998, usdc: 9342124}


def test_every_fact_is_served_by_every_provider_in_block_order() -> None:
    store = load_facts()

    for account, chain_id in store.wallets:
        served = 0
        for provider in PROVIDERS:
            for action in ACTIONS:
                rows = store.rows(Feed(provider, chain_id, "0x" + account.hex(), action))
                wire = rows.wire(*rows.between(0, store.head(chain_id)))
                blocks = [int(row["blockNumber"]) for row in wire]
                assert blocks == sorted(blocks)
                served += len(wire)
        assert served == len(PROVIDERS) * len(store.events(account, chain_id)) > 0


def test_the_rows_carry_the_real_hashes() -> None:
    store = load_facts()
    rows = store.rows(Feed("etherscan", 1, "0x" + WALLET.hex(), "txlist"))

    first = rows.wire(0, 1)[0]

    assert first["hash"].startswith("0xfeabe8233f374eed")
    header = store.header(1, int(first["blockNumber"]))
    assert header is not None
    assert header.hash == first["blockHash"]
    assert header.time_s == 1671926939


def test_there_are_several_wallets_on_several_chains() -> None:
    store = load_facts()

    assert len({account for account, _ in store.wallets}) >= 4
    assert set(store.heads) == {1, 10, 100, 8453, 42161}
    assert set(store.chains("routescan")) == set(store.heads)
    assert store.header(1, 3) is None
    assert store.refusal("etherscan", 1) is None


def test_the_facts_are_small_and_say_where_they_come_from() -> None:
    entries = list(files("shared.emulator.facts").iterdir())
    sizes = [len(entry.read_bytes()) for entry in entries if entry.name.endswith(".json")]
    provenance = next(entry for entry in entries if entry.name == "PROVENANCE.md").read_text()

    assert sum(sizes) < MOST_BYTES
    assert "eb86a80c45cca5ded290ab53b8d517f5455e2b56" in provenance
