"""From an HTTP request to commands: one in the path or the body, a pipeline, a transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_to_bytes

from shared.emulator.upstash.replies import Command

METHODS = ("HEAD", "GET", "POST", "PUT")
BODY_METHODS = ("POST", "PUT")
Shape = Literal["single", "pipeline", "multi-exec", "subscribe", "psubscribe", "monitor"]
BATCHES: tuple[Shape, ...] = ("pipeline", "multi-exec")
STREAMS: tuple[Shape, ...] = ("subscribe", "psubscribe", "monitor")
Format = Literal["json", "base64", "resp2"]


class BadRequestError(Exception):
    """A request that is not a command; the text goes to the caller."""

    def __init__(self, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that mean something here; header names are in lower case."""

    method: str
    raw_path: bytes
    query: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def pairs(self) -> list[tuple[str, str]]:
        """The query in its order."""
        return parse_qsl(self.query, keep_blank_values=True)

    def token(self) -> str:
        """What the caller shows: the header first, else ``_token``."""
        given = self.headers.get("authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
        return next((text for name, text in self.pairs() if name == "_token"), "")

    def shape(self) -> Shape:
        """What is asked for, by the first word of the path."""
        word = self.raw_path.strip(b"/").split(b"/", 1)[0].decode("latin-1").lower()
        for shape in BATCHES + STREAMS:
            if word == shape:
                return shape
        return "single"

    def answer_format(self) -> Format:
        """How the answer is written.

        Raises:
            BadRequestError: An unknown format or encoding, or both at once.
        """
        form = self.headers.get("upstash-response-format", "json").lower()
        encoding = self.headers.get("upstash-encoding", "").lower()
        if form not in {"json", "resp2"}:
            message = f"ERR invalid response format '{form}'"
            raise BadRequestError(message)
        if encoding not in {"", "base64"}:
            message = f"ERR invalid response encoding '{encoding}'"
            raise BadRequestError(message)
        if form == "resp2" and self.shape() != "multi-exec":
            if encoding:
                message = "ERR base64 encoding is not permitted with the resp2 format"
                raise BadRequestError(message)
            return "resp2"
        return "base64" if encoding else "json"


def commands_of(request: Request) -> list[Command]:
    """The commands of a request, in order.

    Raises:
        BadRequestError: The body is no JSON of the right shape, or there is no command.
    """
    shape = request.shape()
    if shape in STREAMS:
        return [_segments(request)]
    if shape in BATCHES:
        if request.method not in BODY_METHODS:
            message = "ERR only POST is allowed here"
            raise BadRequestError(message, status=405)
        rows = _parsed(request.body, f"{shape} request")
        if not rows:
            message = f"ERR empty {shape} request"
            raise BadRequestError(message)
        return [_command(row, f"{shape} request") for row in rows]
    if request.raw_path.strip(b"/"):
        return [_path_command(request)]
    if not request.body:
        message = "ERR empty command"
        raise BadRequestError(message)
    return [_command(_parsed(request.body, "command"), "command")]


def _path_command(request: Request) -> Command:
    """The path, then the body as one argument, then the query pairs."""
    words = _segments(request)
    if request.method in BODY_METHODS and request.body:
        words.append(request.body)
    for name, text in request.pairs():
        if name != "_token":
            words.append(name.encode())
            if text:
                words.append(text.encode())
    return words


def _segments(request: Request) -> list[bytes]:
    return [unquote_to_bytes(part) for part in request.raw_path.lstrip(b"/").split(b"/")]


def _parsed(body: bytes, what: str) -> list[Any]:
    try:
        # A number goes to Redis with the digits that were sent.
        found = json.loads(body, parse_int=str, parse_float=str, parse_constant=_refused)
    except (ValueError, RecursionError) as exc:
        message = f"ERR failed to parse {what}"
        raise BadRequestError(message) from exc
    if not isinstance(found, list):
        message = f"ERR failed to parse {what}: it is not an array"
        raise BadRequestError(message)
    return found


def _command(row: Any, what: str) -> Command:
    if not isinstance(row, list) or not row:
        message = f"ERR failed to parse {what}: a command is an array with its name first"
        raise BadRequestError(message)
    return [_argument(word, what) for word in row]


def _argument(word: Any, what: str) -> bytes:
    if isinstance(word, bool):
        return b"true" if word else b"false"
    if isinstance(word, str):
        # A lone surrogate of JSON becomes U+FFFD, as everywhere in the answers.
        return word.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    message = f"ERR failed to parse {what}: an argument is a string, a number or a boolean"
    raise BadRequestError(message)


def _refused(constant: str) -> Any:
    message = f"{constant} is no JSON"
    raise ValueError(message)
