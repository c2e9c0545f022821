"""What the emulator does wrong when it is told to."""

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.emulator.upstash.faults import FAULTS, FaultPlan
from shared.emulator.upstash.server import LocalUpstash, serving_upstash
from shared.errors import ConfigError
from tests.servers import redis_server


def incremented(http: httpx.Client) -> object:
    return http.get("/incr/n").json()["result"]


@pytest.mark.parametrize(("name", "ran"), [("dropped", False), ("lost", True), ("cut", True)])
def test_a_connection_dies_before_or_after_the_command(
    name: str, ran: bool, http: httpx.Client, upstash: LocalUpstash
) -> None:
    upstash.faults.add(name)

    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/incr/n")

    assert incremented(http) == (2 if ran else 1)
    assert upstash.faults.met[name] >= 1


def is_page(answer: httpx.Response) -> bool:
    return answer.status_code == 200 and answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("http_500", lambda answer: (answer.status_code, answer.text[:8]) == (500, "Internal")),
        ("nonsense", is_page),
        ("denied", lambda answer: answer.status_code == 401),
        ("limit", lambda answer: "ERR max daily request limit exceeded" in answer.json()["error"]),
    ],
)
def test_an_answer_is_wrong_and_no_command_ran(
    name: str, seen: Callable[[httpx.Response], bool], http: httpx.Client, upstash: LocalUpstash
) -> None:
    upstash.faults.add(name)

    assert seen(http.get("/incr/n"))
    assert incremented(http) == 1


def test_the_daily_limit_is_an_error_of_each_command(
    http: httpx.Client, upstash: LocalUpstash
) -> None:
    upstash.faults.add("limit", times=None)

    alone = http.get("/ping")
    among = http.post("/pipeline", json=[["PING"], ["PING"]])

    assert alone.status_code == 400
    assert [list(one) for one in among.json()] == [["error"], ["error"]]


def test_the_database_and_its_scripts_can_be_lost(
    http: httpx.Client, upstash: LocalUpstash
) -> None:
    loaded = http.post("/", json=["SCRIPT", "LOAD", "return 1"]).json()["result"]
    incremented(http)
    upstash.faults.add("emptied")

    assert incremented(http) == 1
    assert http.get(f"/evalsha/{loaded}/0").json() == {"result": 1}

    upstash.faults.add("scripts_gone", only="EVALSHA")
    assert incremented(http) == 2
    assert http.get(f"/evalsha/{loaded}/0").json()["error"].startswith("NOSCRIPT")


def test_a_slow_answer_is_the_same_answer(http: httpx.Client, upstash: LocalUpstash) -> None:
    upstash.faults.add("slow", 0.01)

    assert incremented(http) == 1
    assert upstash.faults.met["slow"] >= 1


def test_a_slow_answer_comes_after_the_command_ran(
    http: httpx.Client, upstash: LocalUpstash
) -> None:
    upstash.faults.add("slow", 60)

    with pytest.raises(httpx.ReadTimeout):
        http.get("/incr/n", timeout=0.05)

    assert incremented(http) == 2


def test_connections_are_refused_until_they_are_not(
    http: httpx.Client, upstash: LocalUpstash
) -> None:
    incremented(http)

    upstash.refuse()
    with pytest.raises(httpx.ConnectError):
        http.get("/incr/n")
    upstash.accept()

    assert incremented(http) == 2


def test_faults_and_refusal_are_ordered_over_http(http: httpx.Client) -> None:
    orders = "/__emulator"
    http.post(f"{orders}/faults", json={"fault": "http_500", "amount": 502, "times": 2})

    assert [http.get("/incr/n").status_code for _ in range(3)] == [502, 502, 200]
    http.post(f"{orders}/faults", json={"fault": "nonsense"})
    http.post(f"{orders}/faults", json={"clear": True})
    assert incremented(http) == 2

    http.post(f"{orders}/refuse", json={"seconds": 0.3})
    while reached(http):
        pass
    while not reached(http):
        pass
    assert http.get("/get/n").status_code == 200


def reached(http: httpx.Client) -> bool:
    try:
        return http.get("/ping").status_code == 200
    except httpx.TransportError:
        return False


def test_a_redis_that_went_away_is_an_error_with_status_503() -> None:
    with redis_server() as url, serving_upstash(url) as upstash:
        query = {"_token": upstash.token}
        before = httpx.get(f"{upstash.url}/ping", params=query)
        with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))) as link:
            link.sendall(b"SHUTDOWN NOSAVE\r\n")
            assert link.recv(16) == b""
        after = httpx.get(f"{upstash.url}/ping", params=query)

    assert before.status_code == 200
    assert after.status_code == 503
    assert after.json()["error"].startswith("ERR cannot reach redis://127.0.0.1")


def test_a_rule_meets_the_calls_that_it_is_about() -> None:
    plan = FaultPlan(seed=1)
    get: list[Any] = [[b"get", b"k"]]
    both: list[Any] = [*get, [b"SET", b"k", b"v"]]
    plan.add("lost", times=2, after=1, only="set")
    plan.add("slow", 1.5, times=None, odds=0.5)

    drawn = [plan.draw(commands) for commands in (both, get, both, both, both)]

    assert [one.name if one else None for one in drawn if one is None or one.name == "lost"].count(
        "lost"
    ) == 2
    assert drawn[2] is not None
    assert drawn[2].name == "lost"
    assert plan.met["slow"] == sum(one is not None and one.name == "slow" for one in drawn)
    plan.clear()
    assert plan.draw(both) is None


@pytest.mark.parametrize(
    "bad", [{"name": "none"}, {"name": "lost", "times": 0}, {"name": "lost", "odds": 2.0}]
)
def test_a_fault_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FaultPlan().add(**bad)


def test_every_fault_has_an_amount() -> None:
    assert all(isinstance(amount, float) for amount in FAULTS.values())
