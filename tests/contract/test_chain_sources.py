"""The promises of ``Source``, kept by every adapter in ``shared/sources/chains``."""

import json
from importlib import import_module
from typing import Any

import pytest

from schema.types import AssetStandard, StreamKind
from shared.errors import (
    DeadlineExceededError,
    SourceDeniedError,
    SourceError,
    SourcePayloadError,
    SourceRateLimitedError,
    SourceUnsupportedError,
)
from shared.http_client import HttpxClient
from shared.settings import Settings
from shared.sources import registry
from shared.sources.base import NATIVE, Answer, AssetRef, FeedRef, RangeQuery, TokenInfo
from shared.sources.catalog import provider_info, providers
from tests import dialects
from tests.contract.refusals import REFUSALS
from tests.contract.source_cases import (
    ACCOUNT,
    ADAPTERS,
    ALL_BLOCKS,
    KEY,
    KINDS,
    OTHER,
    Bench,
    built,
    native_row,
    refused,
    within,
)
from tests.dialects import DIALECTS
from tests.http_server import Server


@pytest.mark.parametrize("key", ADAPTERS)
def test_adapter_is_named_after_its_module_and_in_the_table(key: str) -> None:
    module = import_module(f"shared.sources.chains.{key}")

    assert key == module.KEY == provider_info(key).key
    assert module.DOCS.startswith("https://")
    assert key in DIALECTS


def test_table_has_no_provider_without_an_adapter() -> None:
    assert sorted(provider.key for provider in providers()) == ADAPTERS


def test_limits_come_from_the_table(bench: Bench) -> None:
    table = provider_info(bench.key)

    limits = bench.source.limits(1)

    assert limits.page_rows == table.page_rows
    assert limits.window_rows == table.window_rows
    assert limits.calls_per_s == table.calls_per_s
    assert limits.settle_depth >= registry.chain_info(1).settle_depth
    assert limits.settle_depth >= table.chains[1].index_lag_blocks
    with pytest.raises(SourceUnsupportedError):
        bench.source.limits(424242)


def test_limits_are_what_the_operator_set(http: HttpxClient) -> None:
    settings = Settings(source={"etherscan": {"page_rows": 10_000, "calls_per_s": 30}})

    limits = registry.load("etherscan", http, settings).limits(1)

    assert (limits.page_rows, limits.calls_per_s) == (10_000, 30)


@pytest.mark.parametrize("wallet", dialects.wallets()[:2], ids=["chain 1", "chain 10"])
def test_one_wallet_moves_the_same_through_every_adapter(
    wallet: dict[str, Any], server: Server, http: HttpxClient
) -> None:
    movements: dict[str, list[Any]] = {}
    for key in ADAPTERS:
        bench = Bench(key, built(key, server, http), server)
        movements[key] = []
        for kind, encode in (
            (StreamKind.NATIVE, dialects.native),
            (StreamKind.INTERNAL, DIALECTS[key].internal),
            (StreamKind.ERC20, dialects.erc20),
        ):
            rows = [encode(fact) for fact in wallet[kind.value]]
            bench.says(dialects.answer(rows) if rows else DIALECTS[key].nothing(kind.value))
            page = bench.fetch(kind, account=wallet["address"], chain_id=wallet["chain"])
            movements[key] += [
                (row.block, row.at_s, row.block_hash, draft._replace(identity=b""))
                for row in page.rows
                for draft in row.drafts
            ]

    assert movements["etherscan"]
    assert movements["etherscan"] == movements["blockscout"] == movements["routescan"]


def test_recorded_wallet_never_holds_less_than_nothing(server: Server, http: HttpxClient) -> None:
    wallet = dialects.wallets()[2]
    bench = Bench("blockscout", built("blockscout", server, http), server)
    changes = []
    for kind, encode in (
        (StreamKind.NATIVE, dialects.native),
        (StreamKind.INTERNAL, DIALECTS["blockscout"].internal),
        (StreamKind.ERC20, dialects.erc20),
    ):
        bench.says(dialects.answer([encode(fact) for fact in wallet[kind.value]]))
        page = bench.fetch(kind, account=wallet["address"], chain_id=10)
        changes += [
            (row.block, -draft.amount, draft.amount)
            for row in page.rows
            for draft in row.drafts
            if draft.asset == NATIVE
        ]
    held = 0
    lowest = 0
    for block in sorted({block for block, *_ in changes}):
        held += sum(amount for at, _, amount in changes if at == block)
        lowest = min(lowest, held)

    assert len(changes) > 40
    assert lowest >= 0


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_found_is_an_empty_answer(bench: Bench, kind: StreamKind) -> None:
    action = {"native": "txlist", "internal": "txlistinternal"}.get(kind.value, "tokentx")
    bench.says(DIALECTS[bench.key].nothing(action))

    assert bench.fetch(kind) == Answer([], {})


@pytest.mark.parametrize("kind", KINDS)
def test_positive_list_of_nothing_is_empty(bench: Bench, kind: StreamKind) -> None:
    bench.says({"status": "1", "message": "OK", "result": []})

    assert bench.fetch(kind).rows == []


def test_success_with_a_warning_about_the_key_is_a_success(bench: Bench) -> None:
    message = "OK-Missing/Invalid API Key, rate limit of 1/5sec applied"
    bench.says({"status": "1", "message": message, "result": [native_row()]})

    assert len(bench.fetch().rows) == 1


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("kind", [StreamKind.NATIVE, StreamKind.INTERNAL, StreamKind.ERC20])
def test_no_error_is_ever_an_answer(bench: Bench, kind: StreamKind, name: str) -> None:
    status, document, expected = REFUSALS[name]
    bench.says(document, status)

    with pytest.raises(SourceError) as caught:
        bench.fetch(kind)

    assert isinstance(caught.value, expected)
    assert caught.value.source == bench.key
    assert KEY not in str(caught.value)


def test_daily_limit_waits_long_and_the_rate_limit_shortly(bench: Bench) -> None:
    bench.says(refused("Max daily rate limit reached"))
    with pytest.raises(SourceRateLimitedError) as daily:
        bench.fetch()
    bench.says(refused("Max calls per sec rate limit reached (3/sec)"))
    with pytest.raises(SourceRateLimitedError) as per_second:
        bench.fetch()

    assert daily.value.retry_after_s >= 600
    assert per_second.value.retry_after_s == 1.0


def test_refused_key_names_its_variable_and_is_not_repeated(bench: Bench) -> None:
    bench.says(refused(f"Invalid API Key: {KEY}"))

    with pytest.raises(SourceDeniedError) as caught:
        bench.fetch()

    assert f"SOURCE__{bench.key.upper()}__API_KEY" in caught.value.how_to_fix
    assert KEY not in caught.value.detail


@pytest.mark.parametrize(
    ("rows", "query"),
    [
        ([native_row(blockNumber="99")], RangeQuery(100, 200, 1, 10)),
        ([native_row(blockNumber="201")], RangeQuery(100, 200, 1, 10)),
        ([native_row(blockNumber="5"), native_row(blockNumber="4")], RangeQuery(0, 9, 1, 10)),
        (
            [native_row(blockNumber="4"), native_row(blockNumber="5")],
            RangeQuery(0, 9, 1, 10, descending=True),
        ),
        ([native_row(), native_row()], RangeQuery(0, 200, 1, 1)),
        ([native_row(to=OTHER)], ALL_BLOCKS),
    ],
    ids=["below", "above", "not ascending", "not descending", "too many", "somebody else's"],
)
def test_rows_that_were_not_asked_for_are_refused(
    bench: Bench, rows: list[Any], query: RangeQuery
) -> None:
    bench.says(dialects.answer(rows))

    with pytest.raises(SourcePayloadError, match="txlist"):
        bench.fetch(query=query)


def test_descending_page_is_served_as_asked(bench: Bench) -> None:
    bench.says(dialects.answer([native_row(blockNumber="5"), native_row(blockNumber="4")]))

    page = bench.fetch(query=RangeQuery(0, 9, 1, 10, descending=True))

    assert [row.block for row in page.rows] == [5, 4]
    assert bench.asked()[1]["sort"] == "desc"


def test_request_says_what_is_wanted(bench: Bench) -> None:
    bench.says(DIALECTS[bench.key].nothing("tokentx"))

    bench.fetch(StreamKind.ERC20, RangeQuery(7, 9, 3, 50), chain_id=10)

    path, asked = bench.asked()
    assert path == f"/{bench.key}/10/api"
    assert asked.pop("chain_id" if bench.key == "blockscout" else "chainid") == "10"
    assert asked == {
        "module": "account",
        "action": "tokentx",
        "address": ACCOUNT,
        "startblock": "7",
        "endblock": "9",
        "page": "3",
        "offset": "50",
        "sort": "asc",
        "apikey": KEY,
    }


def test_unserved_feed_and_chain_are_refused_unasked(bench: Bench) -> None:
    bench.says({})
    with pytest.raises(SourceUnsupportedError):
        bench.fetch(StreamKind.WITHDRAWAL, chain_id=10)
    with pytest.raises(SourceUnsupportedError):
        bench.source.head(424242, within(5))

    assert bench.server.seen == []


def test_no_time_left_asks_nothing(bench: Bench) -> None:
    bench.says(dialects.answer([]))

    with pytest.raises(DeadlineExceededError):
        bench.source.fetch(FeedRef(1, ACCOUNT, StreamKind.NATIVE), ALL_BLOCKS, within(0))


@pytest.mark.parametrize("name", [b"Bad\xff\xfe", b"Bad\\ud800\\u0000\\u202e", b"Bad\xf0\x9f\x99"])
def test_broken_text_in_a_token_name_does_not_stop_the_page(bench: Bench, name: bytes) -> None:
    row = native_row(contractAddress=OTHER, tokenSymbol="S", tokenName="NAME", tokenDecimal="18")
    bench.says(json.dumps(dialects.answer([row])).encode().replace(b"NAME", name))

    page = bench.fetch(StreamKind.ERC20)

    info = page.tokens[AssetRef(bytes.fromhex("bb" * 20))]
    assert info.name is not None
    assert info.name.startswith("Bad")
    info.name.encode()
    assert "\0" not in info.name
    assert page.rows[0].drafts[0].amount == 5


def test_tokens_are_described(bench: Bench) -> None:
    bench.says(dialects.answer([native_row()]))

    ether = TokenInfo(AssetStandard.NATIVE, "ETH", "Ether", 18)
    assert bench.fetch().tokens == {NATIVE: ether}
