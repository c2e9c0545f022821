import json
from typing import Any

import pytest

from shared.emulator.events import ACTIONS, TXLIST
from shared.emulator.provider import EtherscanLike, ProviderOptions
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig

WORLD = World(21, WorldConfig(chains=(1, 42161), movements=4000, blocks=100))
WALLET = "0x" + WORLD.wallets[0].hex()
NOBODY = "0x" + "12" * 20
ETHERSCAN = "/etherscan/v2/api"
BLOCKSCOUT = "/blockscout/v2/api"
ROUTESCAN = "/routescan/v2/network/mainnet/evm/1/etherscan/api"
PATHS = (ETHERSCAN, BLOCKSCOUT, ROUTESCAN)


def ask(path: str = ETHERSCAN, options: ProviderOptions | None = None, **asked: Any) -> Any:
    provider = EtherscanLike(WorldStore(WORLD), options or ProviderOptions())
    params = {"chainid": "1", "module": "account", "action": TXLIST, "address": WALLET}
    return json.loads(provider.answer(path, params | {k: str(asked[k]) for k in asked}, 0.0).body)


def blocks(answer: Any) -> list[int]:
    return [int(row["blockNumber"]) for row in answer["result"]]


@pytest.mark.parametrize("path", PATHS)
def test_pages_put_together_are_the_whole_feed(path: str) -> None:
    whole = ask(path, page=1, offset=1000, sort="asc")["result"]

    pages = [ask(path, page=page, offset=100, sort="asc")["result"] for page in range(1, 11)]

    assert [row for page in pages for row in page] == whole


@pytest.mark.parametrize("path", PATHS)
def test_descending_is_ascending_turned_round(path: str) -> None:
    up = ask(path, startblock=120, endblock=160, sort="asc", offset=1000)["result"]
    down = ask(path, startblock=120, endblock=160, sort="desc", offset=1000)["result"]

    assert down == up[::-1]


def test_blocks_are_bounded_on_both_sides_inclusively() -> None:
    found = blocks(ask(startblock=130, endblock=140, offset=1000))

    assert {130, 140} <= set(found) <= set(range(130, 141))


def test_names_of_parameters_may_be_written_in_any_case() -> None:
    assert blocks(ask(startBlock=130, endBlock=130)) == blocks(ask(startblock=130, endblock=130))


def test_a_page_beyond_the_end_is_empty() -> None:
    assert ask(page=10, offset=1000)["result"] == []


def test_blockscout_alone_begins_with_the_newest() -> None:
    assert blocks(ask(BLOCKSCOUT))[0] > blocks(ask(BLOCKSCOUT))[-1]
    assert blocks(ask(ETHERSCAN))[0] < blocks(ask(ETHERSCAN))[-1]
    assert blocks(ask(ROUTESCAN))[0] < blocks(ask(ROUTESCAN))[-1]


def test_etherscan_serves_at_most_1000_rows_and_the_others_more() -> None:
    assert len(ask(ETHERSCAN, offset=10_000)["result"]) == 1000
    assert len(ask(ETHERSCAN)["result"]) == 1000
    assert len(ask(ROUTESCAN, offset=10_000)["result"]) > 1000


def test_a_lower_cap_is_silent_and_counts_for_later_pages() -> None:
    options = ProviderOptions(page_cap=10)

    first = ask(options=options, offset=100)["result"]
    second = ask(options=options, offset=100, page=2)["result"]

    assert first + second == ask(offset=20)["result"]


@pytest.mark.parametrize("path", PATHS)
def test_beyond_the_window_is_an_error_without_result(path: str) -> None:
    answer = ask(path, page=11, offset=1000)

    assert answer["status"] == "0"
    assert answer["result"] is None
    assert answer["message"].startswith("Result window is too large")


@pytest.mark.parametrize(
    ("path", "action", "status", "message"),
    [
        (ETHERSCAN, "tokentx", "0", "No transactions found"),
        (ETHERSCAN, "txlistinternal", "0", "No transactions found"),
        (BLOCKSCOUT, "txlist", "0", "No transactions found"),
        (BLOCKSCOUT, "txlistinternal", "0", "No internal transactions found"),
        (BLOCKSCOUT, "tokentx", "0", "No token transfers found"),
        (ROUTESCAN, "txlist", "1", "OK"),
        (ROUTESCAN, "txlistinternal", "0", "No transactions found"),
    ],
)
def test_each_provider_says_in_its_own_way_that_there_is_nothing(
    path: str, action: str, status: str, message: str
) -> None:
    answer = ask(path, action=action, address=NOBODY)

    assert answer == {"status": status, "message": message, "result": []}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"address": "0x12"}, "Error! Invalid address format"),
        ({"action": "txlists"}, "Error! Missing Or invalid Action name"),
        ({"module": "bank"}, "Error! Missing Or invalid Module name"),
        ({"startblock": "-1"}, "Error! Invalid parameter value"),
        ({"chainid": "77"}, "Missing or unsupported chainid parameter"),
        ({"chainid": ""}, "Missing or unsupported chainid parameter"),
    ],
)
def test_a_bad_request_is_answered_with_status_200_and_notok(
    asked: dict[str, str], text: str
) -> None:
    answer = ask(ETHERSCAN, None, **asked)

    assert (answer["status"], answer["message"]) == ("0", "NOTOK")
    assert answer["result"].startswith(text)


def test_routescan_refuses_an_unknown_chain_with_a_null_result() -> None:
    answer = ask("/routescan/v2/network/mainnet/evm/77/etherscan/api")

    assert answer == {"status": "0", "message": "chain not supported", "result": None}


def test_either_name_of_the_chain_is_understood() -> None:
    params = {"chain_id": "42161", "module": "proxy", "action": "eth_blockNumber"}

    answer = EtherscanLike(WorldStore(WORLD)).answer("/v2/api", params, 0.0)

    assert int(json.loads(answer.body)["result"], 16) == WORLD.head(42161)


def test_a_key_is_asked_for_when_set() -> None:
    options = ProviderOptions(key="right")

    assert ask(options=options)["result"] == "Missing/Invalid API Key"
    assert ask(options=options, apikey="wrong")["result"].startswith("Invalid API Key")
    assert ask(options=options, apikey="right")["status"] == "1"


def test_calls_beyond_the_rate_are_refused_until_a_second_has_passed() -> None:
    provider = EtherscanLike(WorldStore(WORLD), ProviderOptions(calls_per_s=2))
    params = {"chainid": "1", "module": "proxy", "action": "eth_blockNumber"}

    texts = [provider.answer("/v2/api", params, now).body for now in (0.0, 0.1, 0.2, 1.05)]
    third = [provider.answer(ROUTESCAN, params, now).status for now in (0.0, 0.1, 0.2)]

    assert b"Max calls per sec rate limit reached (2/sec)" in texts[2]
    assert b"jsonrpc" in texts[1]
    assert b"jsonrpc" in texts[3]
    assert third == [200, 200, 429]


def test_confirmations_count_from_the_head() -> None:
    (row,) = ask(offset=1, startblock=120)["result"]

    assert int(row["confirmations"]) == WORLD.head() - int(row["blockNumber"]) + 1


def test_blocks_are_told_by_the_proxy_module() -> None:
    block = WORLD.head() - 3

    found = ask(module="proxy", action="eth_getBlockByNumber", tag=hex(block))["result"]
    ahead = ask(module="proxy", action="eth_getBlockByNumber", tag=hex(block + 99))["result"]

    assert found["hash"] == "0x" + WORLD.block_hash(block).hex()
    assert int(found["number"], 16) == block
    assert int(found["timestamp"], 16) == WORLD.block_time(block)
    assert ahead is None


def test_a_bad_block_tag_is_a_json_rpc_error() -> None:
    answer = ask(module="proxy", action="eth_getBlockByNumber", tag="new")

    assert answer["error"]["code"] == -32602


def test_an_unknown_path_is_not_found() -> None:
    assert EtherscanLike(WorldStore(WORLD)).answer("/nothing", {}, 0.0).status == 404


def test_nasty_texts_travel_as_escapes_that_json_brings_back() -> None:
    provider = EtherscanLike(WorldStore(World(1, WorldConfig(movements=6000, blocks=50))))
    wallet = "0x" + World(1).wallets[0].hex()
    params = {"chainid": "1", "module": "account", "action": "tokentx", "address": wallet}

    body = provider.answer(ROUTESCAN, params, 0.0).body

    assert b"\\ud800" in body
    assert b"\\u0000" in body
    names = {row["tokenName"] for row in json.loads(body)["result"]}
    assert {"lone \ud800 surrogate", "nul\x00inside"} <= names


def test_internal_rows_differ_between_the_providers() -> None:
    etherscan, blockscout, routescan = (
        ask(path, action="txlistinternal", sort="asc", offset=1)["result"][0] for path in PATHS
    )

    assert etherscan["traceId"].startswith("0_")
    assert routescan["traceId"].isdigit()
    assert {"transactionHash", "index", "callType"} <= blockscout.keys()
    assert "hash" not in blockscout
    assert blockscout["transactionHash"] == etherscan["hash"] == routescan["hash"]


def test_every_value_of_every_row_is_text() -> None:
    for path in PATHS:
        for action in ACTIONS:
            for row in ask(path, action=action, offset=50)["result"]:
                assert all(isinstance(value, str) for value in row.values())
