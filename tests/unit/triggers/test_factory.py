"""Which trigger the settings choose, and what those over HTTP send."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine

from shared.clock import Deadline
from shared.errors import ConfigError
from shared.settings import Settings
from shared.triggers.base import NoTrigger
from shared.triggers.factory import make_trigger, public_url
from tests.fakes import FakeClock

ENGINE = create_engine("sqlite://")


@contextmanager
def accepting() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that accepts each call, and the headers of those it got."""
    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            got.append({name.lower(): text for name, text in self.headers.items()})
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_qstash_is_asked_for_one_repetition(clock: FakeClock) -> None:
    with accepting() as (url, got):
        settings = Settings(
            run_trigger="qstash",
            cron_secret=SecretStr("secret"),
            public_url="https://app.example",
            qstash_url=url,
            qstash_token=SecretStr("token"),
        )
        make_trigger(settings, ENGINE, clock).fire(Deadline.after(clock, 20.0))

    assert [headers["upstash-retries"] for headers in got] == ["1"]


@pytest.mark.parametrize("kind", ["self", "postgres", "qstash", "sqs"])
def test_a_trigger_without_a_secret_is_refused(kind: Any, clock: FakeClock) -> None:
    settings = Settings(
        run_trigger=kind, cron_secret=SecretStr(" "), public_url="https://app.example"
    )

    with pytest.raises(ConfigError, match="CRON_SECRET"):
        make_trigger(settings, ENGINE, clock)


def test_nobody_is_called_unless_somebody_says_so(clock: FakeClock) -> None:
    assert isinstance(make_trigger(Settings(), ENGINE, clock), NoTrigger)


def test_our_own_url_is_the_one_that_was_told() -> None:
    host: dict[str, Any] = {"vercel_project_production_url": "app.vercel.app"}

    assert public_url(Settings()) is None
    assert public_url(Settings(**host)) == "https://app.vercel.app"
    assert public_url(Settings(public_url="https://own.example", **host)) == "https://own.example"
