"""Whether a call comes from QStash: the receiving end, which needs no HTTP client.

https://upstash.com/docs/qstash/howto/signature (read 2026-11-24)
"""

import base64
import hashlib
import hmac
import json

from shared.auth import WINDOW_S

SIGNATURE_HEADER = "upstash-signature"
PARTS = 3


def is_from_qstash(token: str, *, keys: tuple[str, ...], body: bytes, now_s: float) -> bool:
    """Whether a signature (a JWT, HS256) is QStash's, of this body and still good."""
    parts = token.split(".")
    if len(parts) != PARTS:
        return False
    try:
        head, claims = (json.loads(_decoded(part)) for part in parts[:2])
        given = _decoded(parts[2])
        good_for = float(claims["exp"]) + WINDOW_S >= now_s >= float(claims["nbf"]) - WINDOW_S
        of_body = hmac.compare_digest(_decoded(claims["body"]), hashlib.sha256(body).digest())
        ours = head["alg"] == "HS256" and claims["iss"] == "Upstash"
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    signed = f"{parts[0]}.{parts[1]}".encode()
    matches = [
        hmac.compare_digest(hmac.new(key.encode(), signed, hashlib.sha256).digest(), given)
        for key in keys
    ]
    return any(matches) and good_for and of_body and ours


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
