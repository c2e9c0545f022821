"""A local HTTP server that answers as a test says."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answerer = Callable[[BaseHTTPRequestHandler], None]


class Handler(BaseHTTPRequestHandler):
    """Answers as the test says."""

    protocol_version = "HTTP/1.1"
    answerer: Answerer

    def do_GET(self) -> None:
        type(self).answerer(self)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server:
    """A local HTTP server with one behaviour."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.handler = type("TestHandler", (Handler,), {})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answers(self, answer: Answerer) -> None:
        def noted(request: BaseHTTPRequestHandler) -> None:
            self.seen.append(request.path)
            self.headers.append({name.lower(): text for name, text in request.headers.items()})
            answer(request)

        self.handler.answerer = staticmethod(noted)  # type: ignore[attr-defined]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def sends(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None, length: int | None = None
) -> Answerer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, text in (headers or {}).items():
            request.send_header(name, text)
        request.send_header("content-length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)
        if length is not None:
            request.close_connection = True

    return answer
