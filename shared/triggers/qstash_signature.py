"""Whether a call comes from QStash: the receiving end, which needs no HTTP client.

https://upstash.com/docs/qstash/howto/signature (read 2026-11-24)
"""

import base64
import hashlib
import hmac
import json
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from shared.auth import WINDOW_S

SIGNATURE_HEADER = "upstash-signature"
PARTS = 3
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
PORTS = {"http": 80, "https": 443}


class Delivery(NamedTuple):
    """The call as it came, and where it was to go.

    ``base_url`` is where this deployment is reached; without one it is what the caller asked for:
    ``host``, over whatever scheme.
    """

    base_url: str | None
    host: str
    path: str
    body: bytes


def mark_of(token: str, *, keys: tuple[str, ...], delivery: Delivery, now_s: float) -> str | None:
    """What tells this call from all others, if its token (a JWT, HS256) is QStash's and still good.

    It is what the signature covers: no other spelling of a token has the same signature.
    """
    parts = token.split(".")
    if len(parts) != PARTS:
        return None
    try:
        head, claims = (json.loads(_decoded(part)) for part in parts[:2])
        given = _decoded(parts[2])
        good_for = float(claims["exp"]) + WINDOW_S >= now_s >= float(claims["nbf"]) - WINDOW_S
        told = _decoded(claims["body"].rstrip("="))  # padded or not: it is signed as it stands
        of_body = hmac.compare_digest(told, hashlib.sha256(delivery.body).digest())
        ours = head["alg"] == "HS256" and claims["iss"] == "Upstash"
        for_us = _is_for(claims["sub"], delivery)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    signed = f"{parts[0]}.{parts[1]}"
    matches = [
        hmac.compare_digest(hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest(), given)
        for key in keys
        if key
    ]
    good = any(matches) and good_for and of_body and ours and for_us
    return signed if good else None


def _is_for(subject: str, delivery: Delivery) -> bool:
    """Whether a token was made for a call of this URL, and not for one of somebody else's."""
    if delivery.base_url is not None:
        return _place(subject) == _place(delivery.base_url.rstrip("/") + delivery.path)
    scheme = urlsplit(subject).scheme.lower()
    return _place(subject) == _place(f"{scheme}://{delivery.host}{delivery.path}")


def _place(url: str) -> tuple[Any, ...]:
    """A URL by what it means, however it is spelt; a query is not part of ours."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, parts.hostname, parts.port or PORTS[scheme], parts.path, parts.query


def _decoded(text: str) -> bytes:
    """Base64url without padding, in its one spelling.

    Raises:
        ValueError: Anything else, though decoders take it.
    """
    if not BASE64URL.fullmatch(text):
        message = "not base64url"
        raise ValueError(message)
    found = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != text:
        message = "base64url with bits too many"
        raise ValueError(message)
    return found
