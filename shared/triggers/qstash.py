"""``qstash``: Upstash's message service calls us, and tries again by itself.

https://upstash.com/docs/qstash/api/publish, https://upstash.com/docs/qstash/howto/signature
(read 2026-11-24)
"""

import base64
import hashlib
import hmac
import json

from shared.auth import WINDOW_S
from shared.clock import Deadline
from shared.triggers.base import Caller, RunCall
from shared.triggers.posting import Poster

DEFAULT_URL = "https://qstash.upstash.io"
SIGNATURE_HEADER = "upstash-signature"
PARTS = 3


class QstashTrigger:
    """One published message a run; at most so many are delivered at once."""

    def __init__(self, caller: Caller, *, token: str, url: str, at_once: int) -> None:
        self._caller = caller
        self._token = token
        self._url = url.rstrip("/")
        self._at_once = at_once
        self._poster = Poster("QStash", {200, 201, 202})

    def fire(self, deadline: Deadline) -> None:
        """See ``Trigger.fire``."""
        call = self._caller.run_call()
        headers = {
            "authorization": f"Bearer {self._token}",
            "content-type": "application/json",
            "upstash-method": "POST",
            "upstash-deduplication-id": call.id,
            "upstash-flow-control-key": "tallybook-runs",
            "upstash-flow-control-value": f"parallelism={self._at_once}",
        }
        url = f"{self._url}/v2/publish/{call.url}"
        self._poster.post(url, headers=headers, body=call.body, deadline=deadline)

    def in_closing(self) -> RunCall | None:
        """See ``Trigger.in_closing``."""
        return None


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
