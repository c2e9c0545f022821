"""Which tokens are QStash's, for this call, in the one spelling that it has."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from shared.triggers.qstash_signature import Delivery, mark_of

KEY, PATH, BODY = "sig_current", "/api/internal/chunk", b'{"id": "1"}'
URL = f"https://app.example{PATH}"
NOW_S = 1_795_000_000
PLACE = Delivery("https://app.example", "internal:8000", PATH, BODY)


def part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


HEAD = part(b'{"alg":"HS256"}')


def token(key: str = KEY, **changes: Any) -> str:
    claims = {
        "iss": "Upstash",
        "sub": URL,
        "nbf": NOW_S,
        "exp": NOW_S + 300,
        "body": part(hashlib.sha256(BODY).digest()),
        **changes,
    }
    head = f"{HEAD}.{part(json.dumps(claims).encode())}"
    return f"{head}.{part(hmac.new(key.encode(), head.encode(), hashlib.sha256).digest())}"


def mark(given: str, delivery: Delivery = PLACE, keys: tuple[str, ...] = (KEY,)) -> str | None:
    return mark_of(given, keys=keys, delivery=delivery, now_s=NOW_S)


def test_a_token_is_marked_by_what_its_signature_covers() -> None:
    good = token()

    assert mark(good) == good.rpartition(".")[0]


@pytest.mark.parametrize("garbage", ["=", "==", "!!", " ", "\n", "+", "é", "A"])
def test_no_other_spelling_of_a_token_is_taken(garbage: str) -> None:
    head, claims, signature = token().split(".")

    assert mark(f"{head}.{claims}.{signature}{garbage}") is None
    assert mark(f"{head}.{claims}{garbage}.{signature}") is None


def test_the_spare_bits_of_a_signature_are_no_second_spelling() -> None:
    good = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = good[:-1] + alphabet[alphabet.index(good[-1]) ^ 1]

    assert mark(twin) is None


def test_a_padded_hash_of_the_body_is_taken() -> None:
    assert mark(token(body=part(hashlib.sha256(BODY).digest()) + "=")) is not None


@pytest.mark.parametrize(
    "subject",
    [
        f"https://other.example{PATH}",
        f"http://app.example{PATH}",
        f"https://app.example:8443{PATH}",
        "https://app.example/api/internal/tick",
        f"{URL}?early=true",
        PATH,
        "https://[bad",
        "",
        None,
        7,
    ],
)
def test_a_token_for_another_url_is_refused(subject: Any) -> None:
    assert mark(token(sub=subject)) is None


@pytest.mark.parametrize("subject", [URL, f"https://APP.example:443{PATH}"])
def test_a_url_is_compared_by_what_it_means(subject: str) -> None:
    assert mark(token(sub=subject)) is not None
    assert mark(token(sub=subject), PLACE._replace(base_url="https://app.example/")) is not None


def test_who_does_not_know_its_url_compares_host_and_path() -> None:
    unknown = PLACE._replace(base_url=None, host="app.example")

    assert mark(token(), unknown) is not None
    assert mark(token(sub=f"http://app.example{PATH}"), unknown) is not None
    assert mark(token(sub=f"https://other.example{PATH}"), unknown) is None
    assert mark(token(sub="https://app.example/x"), unknown) is None


def test_an_empty_key_signs_nothing() -> None:
    assert mark(token(key=""), keys=("",)) is None
    assert mark(token(key=""), keys=()) is None
