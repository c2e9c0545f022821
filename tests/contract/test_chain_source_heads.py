"""Heads, block hashes and properties of the chain sources, and what only one of them does."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.types import StreamKind
from shared.errors import (
    SourceError,
    SourceUnavailableError,
)
from shared.http import HttpResponse
from shared.http_client import HttpxClient
from shared.settings import Settings
from shared.sources import registry
from shared.sources.base import Answer, FeedRef
from tests import dialects
from tests.contract.refusals import FREE_TEXT
from tests.contract.source_cases import (
    ACCOUNT,
    ALL_BLOCKS,
    BLOCK_HASH,
    Bench,
    built,
    native_row,
    refused,
    within,
)
from tests.http_server import Server, sends


def test_head_is_the_newest_block(bench: Bench) -> None:
    bench.says({"jsonrpc": "2.0", "id": 83, "result": "0x12d687"})

    assert bench.source.head(1, within(5)) == 1234567
    assert bench.asked()[1]["action"] == "eth_blockNumber"


@pytest.mark.parametrize(
    "document",
    [
        {"jsonrpc": "2.0", "id": 1, "result": None},
        {"jsonrpc": "2.0", "id": 1, "result": "latest"},
        {"jsonrpc": "2.0", "id": 1, "result": "0x" + "f" * 16},
        {"jsonrpc": "2.0", "id": 1, "result": 5},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "header not found"}},
        {"status": "0", "message": "NOTOK", "result": "Max rate limit reached"},
        {"status": "0", "message": "NOTOK", "result": "0x5"},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": None}},
        [],
        b"<html>",
        b"",
    ],
)
def test_no_error_is_ever_a_head(bench: Bench, document: Any) -> None:
    bench.says(document)

    with pytest.raises(SourceError):
        bench.source.head(1, within(5))


def test_block_hash_is_that_of_the_block(bench: Bench) -> None:
    bench.says({"jsonrpc": "2.0", "id": 1, "result": {"number": "0x64", "hash": BLOCK_HASH}})

    assert bench.source.block_hash(1, 100, within(5)) == bytes.fromhex("cd" * 32)
    asked = bench.asked()[1]
    assert (asked["tag"], asked["boolean"]) == ("0x64", "false")


@pytest.mark.parametrize(
    "document",
    [
        {"jsonrpc": "2.0", "id": 1, "result": None},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}},
        {
            "jsonrpc": "2.0",
            "id": 1,
            "error": {
                "code": -32601,
                "message": "the method eth_x does not exist/is not available",
            },
        },
        refused("Error! Missing Or invalid Action name"),
    ],
)
def test_unknown_block_or_method_is_no_hash(bench: Bench, document: Any) -> None:
    if isinstance(document.get("error"), dict) and document["error"]["message"][0] == "M":
        document["error"]["message"] = "Method eth_getBlockByNumber not found"
    bench.says(document)

    assert bench.source.block_hash(1, 100, within(5)) is None


@pytest.mark.parametrize(
    "document",
    [
        {"result": {"number": "0x65", "hash": BLOCK_HASH}},
        {"result": {"number": "0x64", "hash": "0x12"}},
        {"result": {"number": "0x64"}},
        {"result": {"number": [], "hash": BLOCK_HASH}},
        {"result": "0x64"},
        {"error": {"code": -32005, "message": "rate limit"}},
        refused("Max rate limit reached"),
        refused(FREE_TEXT),
        b"<html>",
    ],
)
def test_no_error_is_ever_a_hash(bench: Bench, document: Any) -> None:
    bench.says(document)

    with pytest.raises(SourceError):
        bench.source.block_hash(1, 100, within(5))


class Canned:
    """An Http that gives one body, for properties over many."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def get(self, *_: Any, **__: Any) -> HttpResponse:
        return HttpResponse(200, {}, self.body)


def answered(body: bytes) -> Answer | None:
    source = registry.load("etherscan", Canned(body), Settings())
    try:
        return source.fetch(FeedRef(1, ACCOUNT, StreamKind.NATIVE), ALL_BLOCKS, within(5))
    except SourceError:
        return None


@given(st.integers(0, 500))
def test_cut_answer_is_never_an_answer(cut: int) -> None:
    body = json.dumps(dialects.answer([native_row(), native_row(blockNumber="101")])).encode()

    assert answered(body[: min(cut, len(body) - 1)]) is None


@given(st.text(max_size=60), st.sampled_from([[], None, "", "x", {}, 0]))
def test_unknown_words_are_never_an_empty_answer(message: str, result: object) -> None:
    body = json.dumps({"status": "0", "message": message, "result": result}).encode()

    assert answered(body) is None


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_strange_rows_are_never_an_answer(row: Any) -> None:
    body = json.dumps({"status": "1", "message": "OK", "result": [row]}).encode()

    assert answered(body) is None


@given(
    st.sampled_from(sorted(native_row())),
    st.none()
    | st.integers(max_value=-1)
    | st.sampled_from(["-1", "1e9", "0x", "ten", "9" * 99, " "]),
)
def test_spoilt_field_is_refused_or_does_not_matter(name: str, value: Any) -> None:
    body = json.dumps(dialects.answer([native_row(**{name: value})])).encode()
    page = answered(body)

    good = answered(json.dumps(dialects.answer([native_row()])).encode())
    assert good is not None
    if page is not None:
        # A receiver pays no gas; a missing status, block hash or new contract takes nothing away.
        assert page.rows[0].drafts == good.rows[0].drafts


# What only one of them does.


def test_blockscout_without_proxy_is_asked_in_its_own_words(
    server: Server, http: HttpxClient
) -> None:
    def answer(request: Any) -> None:
        if "module=proxy" in request.path:
            body = {"message": "Unknown module", "result": None, "status": "0"}
            return sends(json.dumps(body).encode(), 400)(request)
        if "module=block" in request.path:
            return sends(b'{"jsonrpc":"2.0","result":"0x64","id":1}')(request)
        if "/v2/blocks/100" in request.path:
            body = {"height": "100", "hash": BLOCK_HASH}
            return sends(json.dumps(body).encode())(request)
        return sends(b'{"message":"Not found"}', 404)(request)

    server.answers(answer)
    source = built("blockscout", server, http)

    assert source.head(1, within(5)) == 100
    assert source.head(1, within(5)) == 100
    assert source.block_hash(1, 100, within(5)) == bytes.fromhex("cd" * 32)
    assert source.block_hash(1, 101, within(5)) is None
    assert [urlsplit(path).path for path in server.seen[-2:]] == [
        "/blockscout/1/api/v2/blocks/100",
        "/blockscout/1/api/v2/blocks/101",
    ]
    assert len(server.seen) == 5


class Noting:
    """An Http that notes what it is asked and says nothing of use."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def get(self, source: str, url: str, *, params: Any, **_: Any) -> HttpResponse:
        self.asked.append((f"{source} {url}", dict(params)))
        return HttpResponse(404, {}, b"{}")


@pytest.mark.parametrize(
    ("key", "api_key", "url", "chain_param"),
    [
        ("etherscan", "k", "https://api.etherscan.io/v2/api", "chainid"),
        ("blockscout", "k", "https://api.blockscout.com/v2/api", "chain_id"),
        ("blockscout", None, "https://base.blockscout.com/api", None),
        (
            "routescan",
            None,
            "https://api.routescan.io/v2/network/mainnet/evm/8453/etherscan/api",
            None,
        ),
    ],
)
def test_public_servers_are_asked_as_documented(
    key: str, api_key: str | None, url: str, chain_param: str | None
) -> None:
    http = Noting()
    source = registry.load(key, http, Settings(source={key: {"api_key": api_key}}))

    with pytest.raises(SourceUnavailableError):
        source.head(8453, within(5))
    source_url, params = http.asked[0]
    assert source_url == f"{key} {url}"
    assert ("apikey" in params) == (api_key is not None)
    named = [name for name in ("chainid", "chain_id") if params.get(name) == 8453]
    assert named == ([] if chain_param is None else [chain_param])


def test_blockscout_pro_tells_hashes_under_the_chain() -> None:
    http = Noting()
    source = registry.load("blockscout", http, Settings(source={"blockscout": {"api_key": "k"}}))

    assert source.block_hash(8453, 5, within(5)) is None
    assert http.asked[0][0] == "blockscout https://api.blockscout.com/8453/api/v2/blocks/5"
