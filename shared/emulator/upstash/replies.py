"""What a Redis answers, kept exactly as it came, and how the REST API shows it."""

import base64
import json
from collections.abc import Sequence
from typing import Any

CRLF = b"\r\n"


class Status(bytes):
    """A simple string of RESP2, such as OK."""


class Failure(bytes):
    """An error of RESP2, with its code: ``ERR ..``."""


class Withheld(Failure):
    """The command ran, but its answer is too large to be given: Upstash says so with HTTP 200."""


class NullArray:
    """The array that is not there; JSON shows it as null."""


Command = Sequence[bytes]
Reply = bytes | int | NullArray | list["Reply"] | None


def failure(text: str) -> Failure:
    """An error with this text."""
    return Failure(text.encode())


def size_of(reply: Reply) -> int:
    """The bytes of all its strings, which is what the limit of one answer counts."""
    if isinstance(reply, list):
        return sum(size_of(item) for item in reply)
    return len(reply) if isinstance(reply, bytes) else 0


def resp2(reply: Reply) -> bytes:
    """The bytes that a Redis sends for it."""
    if isinstance(reply, list):
        return b"*%d\r\n" % len(reply) + b"".join(resp2(item) for item in reply)
    if isinstance(reply, Status):
        return b"+" + reply + CRLF
    if isinstance(reply, Failure):
        return b"-" + reply + CRLF
    if isinstance(reply, bytes):
        return b"$%d\r\n" % len(reply) + reply + CRLF
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    return b"*-1\r\n" if isinstance(reply, NullArray) else b"$-1\r\n"


def document(reply: Reply, *, as_base64: bool) -> dict[str, Any]:
    """The JSON object of one command: ``result`` or ``error``."""
    if isinstance(reply, Failure):
        return {"error": _text(reply)}
    return {"result": _plain(reply, as_base64=as_base64)}


def dumps(content: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(reply: Reply, *, as_base64: bool) -> Any:
    if isinstance(reply, list):
        return [_plain(item, as_base64=as_base64) for item in reply]
    if isinstance(reply, bytes):
        # "OK" alone is never encoded, wherever it stands.
        plain = not as_base64 or reply == b"OK" or isinstance(reply, Failure)
        return _text(reply) if plain else base64.b64encode(reply).decode()
    return None if isinstance(reply, NullArray) else reply


def _text(raw: bytes) -> str:
    """UTF-8, with U+FFFD for what is none."""
    return raw.decode("utf-8", "replace")
