"""Nobody but the deployment itself and its cron can start work."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from functions.api.internal import CHUNK, TICK
from functions.invocation import start_runs
from shared import auth
from shared.auth import SIGNATURE_HEADER, TIME_HEADER, SignedCall
from shared.triggers import qstash_signature as qstash
from tests.api.conftest import Api, make_client, make_runtime
from tests.conftest import Database
from tests.flows.test_chain import signed

SECRET = "cron-secret-for-tests"
PATH = f"/api{CHUNK}"
URL = f"http://127.0.0.1{PATH}"
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


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_secret_opens_nothing(api: Api, blank: str) -> None:
    changes = {
        "cron_secret": SecretStr(blank),
        "qstash_current_signing_key": SecretStr(blank),
        "qstash_next_signing_key": SecretStr(blank),
    }
    # Unchecked, unlike what Settings makes of it: the door is safe by itself.
    api.runtime.settings = api.runtime.settings.model_copy(update=changes)
    api.database.clock.advance(_seconds_until_now(api))

    ours = chunk(api, call_headers(api, secret=blank))
    qstash_s = chunk(api, {qstash.SIGNATURE_HEADER: signed(URL, BODY, blank)})

    assert (ours.status_code, qstash_s.status_code) == (401, 401)


@pytest.mark.parametrize("garbage", ["=", "==", "!!", "%"])
def test_another_spelling_of_a_token_is_no_new_call(locked: Api, garbage: str) -> None:
    locked.database.clock.advance(_seconds_until_now(locked))
    token = signed(URL, BODY, "sig_current")

    first = chunk(locked, {qstash.SIGNATURE_HEADER: token})
    again = chunk(locked, {qstash.SIGNATURE_HEADER: token + garbage})

    assert (first.status_code, again.status_code) == (202, 401)


@pytest.mark.parametrize(
    ("public_url", "told", "status"),
    [
        (None, URL, 202),
        (None, f"https://other.example{PATH}", 401),
        (None, "http://127.0.0.1/x", 401),
        ("https://app.example", f"https://app.example{PATH}", 202),
        ("https://app.example", URL, 401),
        ("https://app.example", "https://other.example/x", 401),
    ],
)
def test_a_token_is_good_for_our_own_url_only(
    locked: Api, public_url: str | None, told: str, status: int
) -> None:
    locked.database.clock.advance(_seconds_until_now(locked))
    changes = {"public_url": public_url}
    locked.runtime.settings = locked.runtime.settings.model_copy(update=changes)

    answer = chunk(locked, {qstash.SIGNATURE_HEADER: signed(told, BODY, "sig_current")})

    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("key", ["sig_current", "sig_next"])
def test_qstash_may_call(locked: Api, key: str) -> None:
    locked.database.clock.advance(_seconds_until_now(locked))
    headers = {qstash.SIGNATURE_HEADER: signed(URL, BODY, key)}

    assert chunk(locked, headers).status_code == 202
    assert chunk(locked, headers).status_code == 409


def test_qstash_s_signature_of_another_body_or_key_is_refused(locked: Api) -> None:
    locked.database.clock.advance(_seconds_until_now(locked))
    of_another = signed(URL, json.dumps({"id": "2"}).encode(), "sig_current")

    for token in (of_another, signed(URL, BODY, "sig_foreign")):
        assert chunk(locked, {qstash.SIGNATURE_HEADER: token}).status_code == 401


def test_an_old_signature_of_qstash_is_refused(locked: Api) -> None:
    locked.database.clock.advance(_seconds_until_now(locked) + 3_600)
    headers = {qstash.SIGNATURE_HEADER: signed(URL, BODY, "sig_current")}

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


def test_a_tick_counts_no_run_that_nobody_started(database: Database) -> None:
    runtime = make_runtime(database, run_trigger="none", run_budget_s=0.01)

    assert start_runs(runtime, 2) == 0
    runtime.close()


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
