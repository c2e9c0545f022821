"""Upstash's REST protocol as its documentation has it, by plain HTTP, over both backends."""

import base64
import json
from typing import Any

import httpx
import pytest

from shared.emulator.upstash.server import LocalUpstash

BASE64 = {"Upstash-Encoding": "base64"}
RESP2 = {"Upstash-Response-Format": "resp2"}
BINARY = b"\xff\x00\xfe OK"


def result(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["result"]
    return answer.json()["result"]


def error(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


def test_a_command_goes_in_the_body_with_numbers_as_they_are_written(http: httpx.Client) -> None:
    body = '["SET", "n", 12345678901234567890.10, "EX", 100]'

    assert result(http.post("/", content=body)) == "OK"
    assert result(http.post("/", json=["GET", "n"])) == "12345678901234567890.10"
    assert result(http.post("/", json=["APPEND", "n", True])) == 27
    assert 0 < result(http.post("/", json=["TTL", "n"])) <= 100
    assert result(http.post("/", json=["GET", "nothing"])) is None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_command_goes_in_the_path_with_each_part_decoded(method: str, http: httpx.Client) -> None:
    assert result(http.request(method, "/set/a%2Fb/%C3%A9%20x/EX/100")) == "OK"
    assert result(http.request(method, "/GET/a%2Fb")) == "é x"
    assert result(http.request(method, "/get/a%2Fb?_token=ignored")) == "é x"


def test_the_body_is_the_last_argument_of_the_path_and_the_query_follows(
    http: httpx.Client,
) -> None:
    assert result(http.post("/set/k?EX=100&NX", content=BINARY)) == "OK"
    assert result(http.put("/set/k?NX&EX=100", content=b"later")) is None

    assert 0 < result(http.get("/ttl/k")) <= 100
    assert result(http.get("/strlen/k")) == len(BINARY)


def test_head_runs_the_command_and_shows_no_body(http: httpx.Client) -> None:
    answer = http.head("/set/k/v")

    assert (answer.status_code, answer.content) == (200, b"")
    assert result(http.get("/get/k")) == "v"


def test_strings_come_as_text_or_base64_or_as_raw_bytes(http: httpx.Client) -> None:
    http.post("/set/k", content=BINARY)
    http.post("/set/ok", content=b"OK")
    nested = ["EVAL", "return {1, {KEYS[1], {'x', false}}}", 1, "deep"]

    assert result(http.get("/get/k")) == "\ufffd\0\ufffd OK"
    assert base64.b64decode(result(http.get("/get/k", headers=BASE64))) == BINARY
    assert http.get("/get/k", headers=RESP2).content == b"$6\r\n" + BINARY + b"\r\n"
    # "OK" alone is never encoded, not even a stored one; an error never is.
    assert result(http.get("/set/x/y", headers=BASE64)) == "OK"
    assert result(http.get("/get/ok", headers=BASE64)) == "OK"
    assert error(http.get("/get", headers=BASE64)).startswith("ERR wrong number")
    assert result(http.post("/", json=nested, headers=BASE64)) == [1, ["ZGVlcA==", ["eA==", None]]]
    assert result(http.get("/ping", headers=BASE64)) == "UE9ORw=="


def test_resp2_is_what_a_redis_sends(http: httpx.Client) -> None:
    commands = [["SET", "k", "v"], ["GET", "k"], ["GET", "no"], ["INCR", "n"], ["LPUSH", "k", 1]]

    answer = http.post("/pipeline", json=commands, headers=RESP2)
    failed = http.get("/lpush/k/1", headers=RESP2)
    atomic = http.post("/multi-exec", json=[["GET", "k"]], headers=RESP2)

    wrong = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
    assert answer.content == b"+OK\r\n$1\r\nv\r\n$-1\r\n:1\r\n" + wrong
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (failed.status_code, failed.content) == (400, wrong)
    assert atomic.json() == [{"result": "v"}]
    assert "format" in error(http.get("/ping", headers={"Upstash-Response-Format": "resp3"}))
    assert "encoding" in error(http.get("/ping", headers={"Upstash-Encoding": "hex"}))
    assert "not permitted" in error(http.get("/ping", headers={**RESP2, **BASE64}))


def test_a_pipeline_goes_on_after_an_error(http: httpx.Client, upstash: LocalUpstash) -> None:
    commands = [["SET", "k", "v"], ["INCR", "k"], ["BLPOP", "k", 1], ["NOSUCH"], ["GET", "k"]]

    answer = http.post("/pipeline", json=commands)

    shown = answer.json()
    assert answer.status_code == 200
    assert [list(one) for one in shown] == [["result"], ["error"], ["error"], ["error"], ["result"]]
    assert shown[-1] == {"result": "v"}
    assert upstash.counters.commands == 5


def test_a_transaction_is_atomic_or_is_not_at_all(http: httpx.Client) -> None:
    done = http.post("/multi-exec", json=[["SET", "k", "v"], ["INCR", "k"], ["GET", "k"]])
    malformed = http.post("/multi-exec", json=[["SET", "a", 1], ["SET", "b"]])
    refused = http.post("/multi-exec", json=[["SET", "a", 1], ["WATCH", "b"]])

    assert [list(one) for one in done.json()] == [["result"], ["error"], ["result"]]
    assert error(malformed).startswith("EXECABORT")
    assert "not allowed in REST" in error(refused)
    assert result(http.get("/exists/a")) == 0


def test_the_sync_token_is_on_every_answer_and_changes_with_writes(http: httpx.Client) -> None:
    def token(answer: httpx.Response) -> str:
        return answer.headers["upstash-sync-token"]

    first = token(http.get("/set/k/v"))
    same = [token(http.get(path)) for path in ("/get/k", "/ping", "/lpush/k/1", "/nosuch")]
    second = token(http.get("/set/k/w"))

    assert same == [first] * 4
    assert second not in {"", first}


def test_a_token_comes_in_the_header_or_the_query(
    anybody: httpx.Client, upstash: LocalUpstash
) -> None:
    url = "/ping"

    assert result(anybody.get(url, params={"_token": upstash.token})) == "PONG"
    assert result(anybody.get(url, headers={"authorization": f"bearer {upstash.token}"})) == "PONG"
    for headers, query in (
        ({}, {}),
        ({"Authorization": "Bearer wrong"}, {}),
        ({"Authorization": f"Basic {upstash.token}"}, {"_token": upstash.token}),
        ({}, {"_token": "wröng"}),
    ):
        refused = anybody.get(url, headers=headers, params=query)
        assert error(refused, 401) == "WRONGPASS invalid or missing auth token"
    assert upstash.counters.refused_tokens == 4
    assert upstash.counters.calls == 2


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed(method: str, http: httpx.Client) -> None:
    answer = http.request(method, "/get/k")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "HEAD,GET,POST,PUT"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", b""),
        ("/", b"GET k"),
        ("/", b"[]"),
        ("/", b'{"a": 1}'),
        ("/", b'["SET", "k", null]'),
        ("/", b'["SET", "k", {"a": 1}]'),
        ("/", b'["SET", "k", NaN]'),
        ("/", b"[" * 100_000),
        ("/", b'["SET", "k", "\xff"]'),
        ("/pipeline", b"[]"),
        ("/pipeline", b'["GET", "k"]'),
        ("/multi-exec", b'[["GET", "k"], []]'),
    ],
)
def test_a_body_that_is_no_command_is_a_syntax_error(
    path: str, body: bytes, http: httpx.Client, upstash: LocalUpstash
) -> None:
    assert error(http.post(path, content=body)).startswith("ERR ")
    assert upstash.counters.commands == 0


def test_a_lone_surrogate_is_replaced(http: httpx.Client) -> None:
    assert result(http.post("/", content=b'["ECHO", "a\\ud800b\\ud83d\\ude00"]')) == "a\ufffdb😀"


def test_stats_and_orders_need_no_token(anybody: httpx.Client, upstash: LocalUpstash) -> None:
    orders = "/__emulator"
    anybody.get("/set/k/v", params={"_token": upstash.token})

    stats = anybody.get(f"{orders}/stats").json()
    emptied = anybody.post(f"{orders}/empty").json()
    reset = anybody.post(f"{orders}/stats/reset").json()

    assert stats["commands"] == emptied["commands"] == 1
    assert stats["by_command"] == {"SET": 1}
    assert reset["commands"] == 0
    assert result(anybody.get("/get/k", params={"_token": upstash.token})) is None
    assert error(anybody.get(f"{orders}/nothing"), 404)
    assert error(anybody.post(f"{orders}/nothing"), 404)
    for content in (
        b"[1",
        b"[]",
        json.dumps({"fault": "none"}).encode(),
        b'{"fault":"lost","x":1}',
    ):
        assert error(anybody.post(f"{orders}/faults", content=content))
