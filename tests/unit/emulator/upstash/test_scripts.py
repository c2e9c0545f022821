"""EVAL, EVALSHA and SCRIPT, with and without Upstash's own first line."""

import hashlib
from typing import Any

import httpx
import pytest

from shared.emulator.upstash.scripts import plain
from shared.emulator.upstash.server import LocalUpstash

FLAGGED = "#!lua flags=allow-key-locking\nreturn {KEYS[1], ARGV[1]}"


def sha(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 - Redis' own choice


def run(http: httpx.Client, *command: object) -> Any:
    return http.post("/", json=command).json()


def test_a_script_runs_by_its_text_and_by_its_address(
    http: httpx.Client, upstash: LocalUpstash
) -> None:
    script = "return {KEYS[1], ARGV[1]}"

    before = http.post("/", json=["EVALSHA", sha(script), 1, "k", "a"])
    by_text = run(http, "EVAL", script, 1, "k", "a")
    by_sha = run(http, "EVALSHA", sha(script), 1, "k", "a")

    assert before.status_code == 400
    assert before.json()["error"].startswith("NOSCRIPT No matching script")
    assert by_text == by_sha == {"result": ["k", "a"]}
    assert upstash.counters.commands == 3


def test_the_flag_of_upstash_is_accepted_and_the_address_is_of_the_whole_text(
    http: httpx.Client,
) -> None:
    assert run(http, "EVALSHA", sha(FLAGGED), 1, "k", "a")["error"].startswith("NOSCRIPT")
    assert run(http, "EVAL", FLAGGED, 1, "k", "a") == {"result": ["k", "a"]}
    assert run(http, "EVALSHA", sha(FLAGGED).upper(), 1, "k", "a") == {"result": ["k", "a"]}
    assert run(http, "SCRIPT", "EXISTS", sha(FLAGGED), "0" * 40) == {"result": [1, 0]}
    assert run(http, "SCRIPT", "FLUSH") == {"result": "OK"}
    assert run(http, "EVALSHA", sha(FLAGGED), 1, "k", "a")["error"].startswith("NOSCRIPT")
    assert run(http, "SCRIPT", "LOAD", FLAGGED) == {"result": sha(FLAGGED)}
    assert run(http, "EVALSHA", sha(FLAGGED), 1, "k", "a") == {"result": ["k", "a"]}


def test_a_script_may_be_loaded_and_called_in_one_pipeline(http: httpx.Client) -> None:
    load, call = ["SCRIPT", "LOAD", FLAGGED], ["EVALSHA", sha(FLAGGED), 1, "k", "a"]

    expected = [{"result": sha(FLAGGED)}, {"result": ["k", "a"]}]
    assert http.post("/pipeline", json=[load, call]).json() == expected
    assert http.post("/multi-exec", json=[load, call]).json() == expected


def test_lua_has_time_and_cjson_and_its_errors_come_through(http: httpx.Client) -> None:
    now = run(http, "EVAL", "return redis.call('TIME')", 0)["result"]
    packed = run(http, "EVAL", "return cjson.encode(cjson.decode(ARGV[1]))", 0, '{"a":[1,"x"]}')
    failed = run(http, "EVAL", "return redis.error_reply('MINE went wrong')", 0)
    wrong = run(
        http, "EVAL", "redis.call('SET', KEYS[1], 1) return redis.call('LPUSH', KEYS[1], 1)", 1, "k"
    )
    caught = run(http, "EVAL", "return redis.pcall('LPUSH', KEYS[1], 1)['err'] ~= nil", 1, "k")

    assert [part.isdecimal() for part in now] == [True, True]
    assert packed == {"result": '{"a":[1,"x"]}'}
    assert failed["error"].startswith("MINE went wrong")
    assert "WRONGTYPE" in wrong["error"]
    assert caught == {"result": 1}


def test_a_script_error_keeps_what_it_wrote_before(http: httpx.Client) -> None:
    # A plain Redis does; Upstash is said to undo it, so no script of ours may count on either.
    run(http, "EVAL", "redis.call('SET', KEYS[1], 1) error('late')", 1, "half")

    assert run(http, "GET", "half") == {"result": "1"}


@pytest.mark.parametrize(
    ("script", "shebangs", "sent"),
    [
        (b"return 1", True, b"return 1"),
        (b"#!lua flags=allow-key-locking\nreturn 1", True, b"\nreturn 1"),
        (b"#!lua flags=allow-key-locking,no-writes\nx", True, b"#!lua flags=no-writes\nx"),
        (b"#!lua name=a flags=allow-key-locking\nx", True, b"#!lua name=a\nx"),
        (b"#!lua flags=no-writes\r\nx", True, b"#!lua flags=no-writes\nx"),
        (b"#!lua flags=no-writes,allow-key-locking\nx", False, b"\nx"),
        (b"#!lua flags=allow-key-locking", False, b""),
        (b"#!js\nx", True, b"#!js\nx"),
    ],
)
def test_the_first_line_keeps_what_its_server_knows(
    script: bytes, shebangs: bool, sent: bytes
) -> None:
    assert plain(script, shebangs=shebangs) == sent


def test_no_writes_is_enforced_where_the_server_knows_it(
    http: httpx.Client, upstash: LocalUpstash
) -> None:
    script = "#!lua flags=no-writes,allow-key-locking\nreturn redis.call('SET', KEYS[1], 1)"

    answer = run(http, "EVAL", script, 1, "k")

    # fakeredis knows no flags and lets it pass.
    over_fake = "fakeredis" in upstash.backend_name
    assert ("error" not in answer) if over_fake else ("Write commands" in answer["error"])
