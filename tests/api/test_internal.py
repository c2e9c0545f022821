"""Nobody but the deployment itself and its cron can start work."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from functions.api.internal import CHUNK, TICK
from shared import auth
from shared.auth import SIGNATURE_HEADER, TIME_HEADER, SignedCall
from shared.triggers import qstash_signature as qstash
from tests.api.conftest import Api, make_client
from tests.flows.test_chain import signed

SECRET = "cron-secret-for-tests"
PATH = f"/api{CHUNK}"
BODY = b'{"id": "1"}'


@pytest.fixture
def locked(api: Api) -> Api:
    """A deployment with its secret set."""
    changes = {
        "cron_secret": SecretStr(SECRET),
        "qstash_current_signing_key": SecretStr("sig_current"),
        "qstash_next_signing_key": SecretStr("sig_next"),
    }
    api.runtime.settings = api.runtime.settings.model_copy(update=changes)
    return api


def call_headers(
    api: Api,
    *,
    age_s: int = 0,
    method: str = "POST",
    path: str = PATH,
    body: bytes = BODY,
    secret: str = SECRET,
) -> dict[str, str]:
    at_s = int(api.runtime.clock.now().timestamp()) - age_s
    return auth.headers(auth.chunk_key(secret), SignedCall(at_s, method, path, body))


def chunk(api: Api, headers: dict[str, str], body: bytes = BODY) -> Any:
    return api.client.post(PATH, content=body, headers=headers)


def test_a_signed_call_is_accepted_once(locked: Api) -> None:
    headers = call_headers(locked)

    first, second = chunk(locked, headers), chunk(locked, headers)

    assert (first.status_code, first.json()) == (202, {"accepted": True})
    assert (second.status_code, second.json()["code"]) == (409, "replayed")


def test_a_run_works_after_its_answer(locked: Api) -> None:
    wallet_id = locked.add_wallet()
    before = locked.get(f"/wallets/{wallet_id}/sync").json()["streams"]
    assert {stream["error"] for stream in before} == {None}

    with pytest.raises(AssertionError):  # the network of these tests, which nobody may use
        chunk(locked, call_headers(locked))


@pytest.mark.parametrize(
    "change",
    [
        {"age_s": 301},
        {"age_s": -301},
        {"method": "GET"},
        {"path": "/api/internal/tick"},
        {"body": b"{}"},
        {"secret": "another"},
    ],
)
def test_a_signature_of_anything_else_is_refused(locked: Api, change: dict[str, Any]) -> None:
    answer = chunk(locked, call_headers(locked, **change))

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SIGNATURE_HEADER: "00"},
        {SIGNATURE_HEADER: "00", TIME_HEADER: "NaN"},
        {SIGNATURE_HEADER: "00", TIME_HEADER: "9" * 400},
        {SIGNATURE_HEADER: "é".encode(), TIME_HEADER: "1"},
        {"authorization": f"Bearer {SECRET}"},
        {qstash.SIGNATURE_HEADER: "a.b.c"},
        {qstash.SIGNATURE_HEADER: "bm8.bm8.bm8"},
        {qstash.SIGNATURE_HEADER: "W10.W10.W10"},
    ],
)
def test_an_unsigned_call_is_refused(locked: Api, headers: Any) -> None:
    answer = locked.client.post(PATH, content=BODY, headers=headers)

    assert answer.status_code == 401, answer.text


def test_without_a_secret_no_signature_is_good(api: Api) -> None:
    assert chunk(api, call_headers(api, secret="")).status_code == 401


@pytest.mark.parametrize("key", ["sig_current", "sig_next"])
def test_qstash_may_call(locked: Api, key: str) -> None:
    locked.database.clock.advance(_seconds_until_now(locked))
    headers = {qstash.SIGNATURE_HEADER: signed(PATH, BODY, key)}

    assert chunk(locked, headers).status_code == 202
    assert chunk(locked, headers).status_code == 409


def test_qstash_s_signature_of_another_body_or_key_is_refused(locked: Api) -> None:
    locked.database.clock.advance(_seconds_until_now(locked))
    of_another = signed(PATH, json.dumps({"id": "2"}).encode(), "sig_current")

    for token in (of_another, signed(PATH, BODY, "sig_foreign")):
        assert chunk(locked, {qstash.SIGNATURE_HEADER: token}).status_code == 401


def test_an_old_signature_of_qstash_is_refused(locked: Api) -> None:
    locked.database.clock.advance(_seconds_until_now(locked) + 3_600)
    headers = {qstash.SIGNATURE_HEADER: signed(PATH, BODY, "sig_current")}

    assert chunk(locked, headers).status_code == 401


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_tick_needs_the_cron_s_secret(locked: Api, method: str) -> None:
    def tick(**headers: str) -> int:
        status: int = locked.client.request(method, f"/api{TICK}", headers=headers).status_code
        return status

    assert tick(authorization=f"Bearer {SECRET}") == 200
    assert tick() == 401
    assert tick(authorization="Bearer wrong") == 401
    assert tick(authorization=f"Basic {SECRET}") == 401


def test_an_idle_tick_says_so(locked: Api) -> None:
    answer = locked.get("/internal/tick", headers={"authorization": f"Bearer {SECRET}"})

    assert answer.json() == {"due": 0, "started": 0, "chunks": 0, "more": False}


def _seconds_until_now(api: Api) -> float:
    """How far the test's clock is behind the one that ``signed`` reads."""
    import time  # noqa: PLC0415 - the real one

    return time.time() - api.runtime.clock.now().timestamp()  # noqa: TID251 - as above


@pytest.mark.parametrize("path", ["/internal/tick", "/internal/prices"])
def test_a_cron_that_does_not_wait_is_answered_before_the_work(api: Api, path: str) -> None:
    api.add_wallet()
    # As a server does it: the work behind an answer can no longer change it.
    client = make_client(api.runtime, raise_server_exceptions=False)

    answer = client.post(f"/api{path}?early=true")

    assert answer.status_code == 202
    found = answer.json()
    assert (found.get("due", 0) > 0) == (path == "/internal/tick")
    streams = api.get("/wallets/1/sync").json()["streams"]
    worked = [stream for stream in streams if stream["state"] != "pending"]
    assert bool(worked) == (path == "/internal/tick")
