"""What Upstash refuses: commands, the read-only token, sizes."""

from collections.abc import Iterator

import httpx
import pytest

from shared.emulator.upstash.policy import Limits
from shared.emulator.upstash.server import serving_upstash

SMALL = Limits(request_bytes=2000, record_bytes=5000, key_bytes=100)


@pytest.fixture(scope="module", params=["redis", "fakeredis"])
def small(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A plan with small limits."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    with (
        serving_upstash(url and url.removesuffix("/0") + "/8", limits=SMALL) as made,
        httpx.Client(
            base_url=made.url,
            headers={"Authorization": f"Bearer {made.token}"},
            verify=False,  # noqa: S501 - plain HTTP
        ) as http,
    ):
        made.empty()
        yield http


@pytest.mark.parametrize(
    "command",
    [
        ["BLPOP", "k", 1],
        ["bzpopmin", "k", 1],
        ["XREAD", "BLOCK", 10, "STREAMS", "s", "$"],
        ["XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "BLOCK", 0, "STREAMS", "s", ">"],
        ["WAIT", 1, 0],
        ["MULTI"],
        ["EXEC"],
        ["DISCARD"],
        ["WATCH", "k"],
        ["SELECT", 1],
        ["AUTH", "x"],
        ["HELLO", 3],
        ["SUBSCRIBE", "c"],
        ["MONITOR"],
        ["QUIT"],
    ],
)
def test_what_needs_a_connection_of_its_own_is_refused(
    command: list[object], http: httpx.Client
) -> None:
    answer = http.post("/", json=command)

    assert answer.status_code == 400
    name = str(command[0]).upper()
    text = f'ERR Command "{name}" is not allowed in REST or it has a special context path'
    assert answer.json() == {"error": text}


@pytest.mark.parametrize(
    "command",
    [
        ["SHUTDOWN"],
        ["DEBUG", "SLEEP", 1],
        ["MEMORY", "STATS"],
        ["SLOWLOG", "GET"],
        ["CONFIG", "SET", "maxmemory", "1"],
        ["CLIENT", "KILL", "ID", 1],
        ["ACL", "WHOAMI"],
        ["NOSUCH", "k"],
        ["FT.SEARCH", "i", "x"],
    ],
)
def test_what_upstash_does_not_have_is_not_available(
    command: list[object], http: httpx.Client
) -> None:
    answer = http.post("/", json=command)

    assert answer.status_code == 400
    text = answer.json()["error"]
    assert text.startswith(f"ERR Command is not available: '{command[0]}")
    assert text.endswith(
        "See https://upstash.com/docs/redis/overall/rediscompatibility for details"
    )


def test_a_key_named_block_is_no_blocking_read(http: httpx.Client) -> None:
    answer = http.post("/", json=["XREAD", "STREAMS", "BLOCK", "0"])

    assert not answer.json()["result"]  # null on a Redis, [] on fakeredis


@pytest.mark.parametrize("command", [["GET", "k"], ["ZRANGE", "z", 0, -1], ["PING"], ["DBSIZE"]])
def test_a_read_only_token_reads(command: list[object], reader: httpx.Client) -> None:
    assert reader.post("/", json=command).status_code == 200


@pytest.mark.parametrize(
    "command",
    [
        ["SET", "k", "v"],
        ["DEL", "k"],
        ["EVAL", "return 1", 0],
        ["EVALSHA", "0" * 40, 0],
        ["FLUSHALL"],
        ["PUBLISH", "c", "m"],
        ["KEYS", "*"],
        ["SCAN", 0],
        ["NOSUCH"],
    ],
)
def test_a_read_only_token_does_nothing_else(command: list[object], reader: httpx.Client) -> None:
    alone = reader.post("/", json=command)
    among = reader.post("/pipeline", json=[["PING"], command])
    atomic = reader.post("/multi-exec", json=[command])

    name = str(command[0]).lower()
    text = f"NOPERM this user has no permissions to run the '{name}' command or its subcommand"
    assert (alone.status_code, alone.json()) == (400, {"error": text})
    assert among.json() == [{"result": "PONG"}, {"error": text}]
    assert (atomic.status_code, atomic.json()) == (400, {"error": text})


def test_a_read_only_token_does_not_listen(reader: httpx.Client) -> None:
    for path in ("/subscribe/c", "/monitor"):
        assert reader.post(path).json()["error"].startswith("NOPERM")


def test_one_command_has_a_largest_size_and_a_pipeline_none(small: httpx.Client) -> None:
    large = ["SET", "large", "x" * 2000]
    many = [["SET", f"k{number}", "x" * 1500] for number in range(10)]

    alone = small.post("/", json=large)
    among = small.post("/pipeline", json=[["PING"], large])
    atomic = small.post("/multi-exec", json=[["SET", "a", 1], large])

    text = "ERR max request size exceeded. Limit: 2000 bytes, Actual: 2008 bytes."
    assert alone.status_code == atomic.status_code == 413
    assert alone.json()["error"].startswith(text)
    assert atomic.json()["error"].startswith(text)
    assert among.status_code == 200
    assert among.json()[1]["error"].startswith(text)
    assert small.get("/exists/large/a").json() == {"result": 0}
    assert small.post("/pipeline", json=many).json() == [{"result": "OK"}] * 10


def test_an_answer_that_is_too_large_is_an_error_with_status_200(small: httpx.Client) -> None:
    small.post("/pipeline", json=[["RPUSH", "l", "x" * 1500], ["RPUSH", "l", "x" * 1500]])

    answer = small.get("/lrange/l/0/-1")

    assert answer.status_code == 200
    assert answer.json()["error"].startswith("ERR max request size exceeded. Limit: 2000 bytes")
    assert small.get("/llen/l").json() == {"result": 2}


def test_a_record_grows_to_its_limit_only(small: httpx.Client) -> None:
    grown = [small.post("/append/r", content=b"x" * 1500).json() for _ in range(4)]
    small.get("/set/r/short")

    assert grown[:3] == [{"result": 1500}, {"result": 3000}, {"result": 4500}]
    assert grown[3]["error"].startswith("ERR max single record size exceeded. Limit: 5000 bytes")
    assert small.post("/append/r", content=b"x" * 1500).json() == {"result": 1505}


def test_a_key_has_a_largest_size_and_a_script_is_no_key(small: httpx.Client) -> None:
    answer = small.get(f"/get/{'k' * 101}")
    script = "return 1 --" + "x" * 200

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("ERR max key size exceeded. Limit: 100 bytes, Actual:")
    assert small.post("/", json=["EVAL", script, 0]).json() == {"result": 1}
