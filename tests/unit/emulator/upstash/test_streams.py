"""Subscriptions and MONITOR as server-sent events."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from shared.emulator.upstash.server import LocalUpstash, serving_upstash

EVENTS = {"Accept": "text/event-stream"}


@contextlib.contextmanager
def listening(http: httpx.Client, path: str) -> Iterator[Iterator[str]]:
    """The events' data, one by one."""
    with http.stream("POST", path, headers=EVENTS) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        yield (line.removeprefix("data: ") for line in lines if line)


def test_a_subscriber_sees_what_is_published(http: httpx.Client) -> None:
    with listening(http, "/subscribe/chat/other%2Froom") as events:
        greeting = [next(events), next(events)]
        counted = [
            http.post("/publish/chat/hello").json(),
            http.post("/publish/chat", content="é, ü").json(),
            http.post("/", json=["PUBLISH", "other/room", "x"]).json(),
            http.post("/publish/nobody/x").json(),
        ]
        seen = [next(events) for _ in range(3)]

    assert greeting == ["subscribe,chat,1", "subscribe,other/room,2"]
    assert counted == [{"result": 1}, {"result": 1}, {"result": 1}, {"result": 0}]
    assert seen == ["message,chat,hello", "message,chat,é, ü", "message,other/room,x"]


def test_a_pattern_is_subscribed_to(http: httpx.Client) -> None:
    with listening(http, "/psubscribe/news.*") as events:
        first = next(events)
        http.post("/publish/news.art/hello")

        assert first == "psubscribe,news.*,1"
        assert next(events) == "pmessage,news.*,news.art,hello"


def test_monitor_shows_the_commands(http: httpx.Client) -> None:
    with listening(http, "/monitor") as events:
        first = next(events)
        http.post("/", json=["SET", "k", 'a "quoted" word'])

        assert first == '"OK"'
        assert next(events).partition("] ")[2] == '"SET" "k" "a \\"quoted\\" word"'


def test_who_leaves_is_no_subscriber_any_more(http: httpx.Client) -> None:
    with listening(http, "/subscribe/chat") as events:
        next(events)
    left = False
    for _ in range(200):
        left = left or http.get("/publish/chat/x").json() == {"result": 0}

    assert left
    assert http.post("/subscribe").json()["error"].startswith("ERR wrong number of arguments")


@pytest.mark.parametrize("backend", ["redis", "fakeredis"])
def test_a_server_that_ends_lets_its_subscribers_go(
    backend: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_url") if backend == "redis" else None
    with contextlib.ExitStack() as stack:
        with serving_upstash(url) as upstash:
            headers = {"Authorization": f"Bearer {upstash.token}"}
            client = stack.enter_context(httpx.Client(base_url=upstash.url, headers=headers))
            events = stack.enter_context(listening(client, "/subscribe/chat"))
            next(events)

        with contextlib.suppress(httpx.RemoteProtocolError):
            assert list(events) == []


def test_an_event_of_several_lines_is_one_event(http: httpx.Client, upstash: LocalUpstash) -> None:
    with http.stream("POST", "/subscribe/chat", headers=EVENTS) as answer:
        lines = answer.iter_lines()
        opened = [next(lines), next(lines)]
        http.post("/publish/chat", content="a\nb")

        assert opened == ["data: subscribe,chat,1", ""]
        assert [next(lines) for _ in range(3)] == ["data: message,chat,a", "data: b", ""]
    assert upstash.counters.streams == 1
