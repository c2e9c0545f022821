"""Who may start work: signatures of our own calls, and secrets compared in constant time."""

import hashlib
import hmac
from typing import NamedTuple

WINDOW_S = 300
TIME_HEADER = "x-tallybook-time"
SIGNATURE_HEADER = "x-tallybook-signature"


class SignedCall(NamedTuple):
    """What a signature covers; ``at_s`` is whole seconds since 1970."""

    at_s: int
    method: str
    path: str
    body: bytes


def fingerprint(signature: str) -> str:
    """What is kept of a signature."""
    return hashlib.sha256(signature.encode("utf-8", "surrogateescape")).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing of them."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def chunk_key(cron_secret: str) -> str:
    """The key of our own calls, so that one secret is enough to set."""
    return hmac.new(cron_secret.encode(), b"tallybook chunk", hashlib.sha256).hexdigest()


def signature(key: str, call: SignedCall) -> str:
    """HMAC-SHA256 in hex over time, method, path and body."""
    head = f"{call.at_s}\n{call.method.upper()}\n{call.path}\n".encode()
    return hmac.new(key.encode(), head + call.body, hashlib.sha256).hexdigest()


def headers(key: str, call: SignedCall) -> dict[str, str]:
    """What goes with a signed call."""
    return {TIME_HEADER: str(call.at_s), SIGNATURE_HEADER: signature(key, call)}


def is_signed(key: str, call: SignedCall, given: str, now_s: float) -> bool:
    """Whether a signature is ours and of the last or next minutes."""
    return abs(now_s - call.at_s) <= WINDOW_S and same(given, signature(key, call))
