"""Progress as it happens, over a real server: a test client would wait for the end of a stream."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from functions.app import create_app
from schema.engine import session_scope
from schema.tables import METADATA
from tests.api.conftest import Api, make_client, make_runtime
from tests.conftest import Database

TOKEN = "token of the owner"


@contextmanager
def served(api: Api) -> Iterator[str]:
    config = uvicorn.Config(
        create_app(api.runtime), port=0, log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _finish(database: Database) -> None:
    with session_scope(database.engine) as session:
        table = METADATA.tables["tallybook.stream"]
        session.connection().execute(table.update().values(state="up_to_date"))


def _documents(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def test_events_tell_each_change_and_end_with_the_sync(api: Api) -> None:
    wallet_id = api.add_wallet()
    url = f"/api/wallets/{wallet_id}/sync/events"
    with served(api) as host, httpx.stream("GET", f"http://{host}{url}", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = _documents(answer.iter_lines())
        first = next(told)
        _finish(api.database)
        rest = list(told)

    assert first["state"] == "pending"
    assert [each["state"] for each in rest][-1] == "up_to_date"
    assert rest[-1] == api.get(f"/wallets/{wallet_id}/sync").json()


def test_a_socket_tells_the_same(api: Api) -> None:
    wallet_id = api.add_wallet()
    with (
        served(api) as host,
        connect(f"ws://{host}/api/wallets/{wallet_id}/sync/socket") as socket,
    ):
        first = json.loads(socket.recv(timeout=20))
        _finish(api.database)
        rest = [json.loads(message) for message in socket]

    assert first["state"] == "pending"
    assert rest[-1] == api.get(f"/wallets/{wallet_id}/sync").json()


def test_where_calls_end_the_client_is_told_to_poll(database: Database) -> None:
    runtime = make_runtime(database, aws_lambda_function_name="f", api_token=SecretStr(TOKEN))
    api = Api(make_client(runtime), runtime, database)
    answer = api.get("/wallets/1/sync/events", headers={"authorization": f"Bearer {TOKEN}"})

    if database.dialect == "sqlite":  # which no function can have: that is said first
        assert (answer.status_code, answer.json()["code"]) == (503, "config")
    else:
        assert (answer.status_code, answer.json()["code"]) == (501, "not_live")
        assert "Poll" in answer.json()["fix"]
    runtime.close()


@pytest.mark.parametrize(
    ("token", "offered", "code"),
    [
        (None, [], 4404),
        (TOKEN, [], 4401),
        (TOKEN, ["bearer.wrong"], 4401),
        (TOKEN.replace(" ", "-"), [f"bearer.{TOKEN.replace(' ', '-')}"], 4404),
    ],
)
def test_a_socket_of_a_stranger_is_closed_with_a_reason(
    database: Database, token: str | None, offered: list[Any], code: int
) -> None:
    runtime = make_runtime(database, api_token=None if token is None else SecretStr(token))
    api = Api(make_client(runtime), runtime, database)

    with (
        served(api) as host,
        connect(f"ws://{host}/api/wallets/99/sync/socket", subprotocols=offered or None) as socket,
        pytest.raises(ConnectionClosed) as closed,
    ):
        socket.recv(timeout=20)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert TOKEN not in closed.value.rcvd.reason
    runtime.close()


def test_events_of_a_wallet_that_is_not_there_are_refused(api: Api) -> None:
    assert api.get("/wallets/99/sync/events").status_code == 404
