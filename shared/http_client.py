"""The one outgoing HTTP client: bounded by a deadline, a size limit, and silent about secrets."""

import logging
import re
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
from pydantic import SecretStr

from shared.clock import Clock, Deadline, SystemClock
from shared.errors import SourceRateLimitedError, SourceTimeoutError, SourceUnavailableError
from shared.http import HttpResponse

CONNECT_TIMEOUT_S = 5.0
SHORTEST_RETRY_S = 1.0
LONGEST_RETRY_S = 3600.0
MAX_CONNECTIONS = 20
READ_BYTES = 1 << 19  # each read waits for the interpreter's lock again: few, where a page is large
TOO_MANY_REQUESTS = 429
LONG_SEGMENT = re.compile(r"[A-Za-z0-9_-]{20,}")
SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?")
HEADERS = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "tallybook"}
FAILURES = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    OSError,
    UnicodeError,
)


class HttpxClient:
    """One kept pool of connections for all threads; redirects are not followed."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._allowance = _Allowance()
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def get(
        self,
        source: str,
        url: str,
        *,
        params: Mapping[str, Any],
        deadline: Deadline,
        max_bytes: int = 32 * 1024 * 1024,
    ) -> HttpResponse:
        """See ``Http.get``; the deadline bounds the whole exchange, however slowly it drips."""
        deadline.check(f"a request to {source}")
        allowed_s = deadline.remaining_s()
        failure: type[SourceUnavailableError] = SourceUnavailableError
        self._allowance.deadline = deadline
        try:
            with self._opened().stream("GET", url, params=_revealed(params)) as response:
                if response.status_code == TOO_MANY_REQUESTS:
                    wait_s = self._retry_after_s(response.headers)
                    detail = "HTTP 429"
                    raise SourceRateLimitedError(source, detail, retry_after_s=wait_s)
                body = _whole_body(response, max_bytes)
                return HttpResponse(response.status_code, dict(response.headers), body)
        except (httpx.TimeoutException, httpcore.TimeoutException):
            reason, failure = f"did not answer within {allowed_s:.1f} s", SourceTimeoutError
        except _TooLargeError:
            reason = f"answered with more than {max_bytes} bytes"
        except FAILURES as exc:
            # Only the class: a library's own message may quote the URL with its key.
            reason = f"could not be read ({type(exc).__name__})"
        finally:
            self._allowance.deadline = None
        # Without a cause: the library's exceptions hold the request, and with it the key.
        detail = f"GET {redacted(url, params)} {reason}"
        raise failure(source, detail)

    def close(self) -> None:
        """Drop the connections; the next request opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _opened(self) -> httpx.Client:
        """The client, built on first use: loading certificates takes tens of milliseconds."""
        with self._lock:
            if self._client is None:
                # httpx logs every URL at INFO, with the key in its query.
                logging.getLogger("httpx").addFilter(_is_serious)
                self._client = httpx.Client(
                    transport=_PooledTransport(self._allowance),
                    headers=HEADERS,
                    timeout=None,  # noqa: S113 - the transport bounds every read by the deadline
                    follow_redirects=False,
                )
            return self._client

    def _retry_after_s(self, headers: Mapping[str, str]) -> float:
        """What Retry-After asks, in seconds, between one second and one hour."""
        asked = headers.get("retry-after", "").strip()
        if SECONDS.fullmatch(asked):
            wait_s = float(asked)
        else:
            try:
                until = parsedate_to_datetime(asked)
            except ValueError:
                return SHORTEST_RETRY_S
            wait_s = (until.replace(tzinfo=until.tzinfo or UTC) - self._clock.now()).total_seconds()
        return min(max(wait_s, SHORTEST_RETRY_S), LONGEST_RETRY_S)


class _TooLargeError(Exception):
    """The body is larger than the caller can use."""


def _is_serious(record: logging.LogRecord) -> bool:
    """Let through only what is no request line."""
    return record.levelno >= logging.WARNING


def _revealed(params: Mapping[str, Any]) -> dict[str, str]:
    """The parameters as they go over the wire."""
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in params.items()
    }


def _whole_body(response: httpx.Response, max_bytes: int) -> bytes:
    """The decoded body, refused as soon as it is too large."""
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _TooLargeError
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > max_bytes:
            raise _TooLargeError
    return bytes(body)


def redacted(url: str, params: Mapping[str, Any]) -> str:
    """Scheme, host and path of ``url``, without whatever in the path may be a key."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a malformed URL"
    path = parts.path
    for value in params.values():
        if isinstance(value, SecretStr) and value.get_secret_value():
            path = path.replace(value.get_secret_value(), "***")
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{LONG_SEGMENT.sub('***', path)}"


class _Allowance(threading.local):
    """The deadline of the request that the present thread makes."""

    deadline: Deadline | None = None

    def left_s(self, cap_s: float | None = None) -> float:
        """Seconds that the next wait may take."""
        if self.deadline is None:
            return CONNECT_TIMEOUT_S
        left_s = self.deadline.remaining_s()
        if left_s <= 0:
            raise httpcore.ReadTimeout
        return left_s if cap_s is None else min(left_s, cap_s)


class _BoundedStream(httpcore.NetworkStream):
    """A connection whose every wait ends with the deadline.

    A timeout of httpx bounds one read only: a server that drips bytes would never end.
    """

    def __init__(self, stream: httpcore.NetworkStream, allowance: _Allowance) -> None:
        self._stream = stream
        self._allowance = allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max(max_bytes, READ_BYTES), self._allowance.left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._allowance.left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        inner = self._stream.start_tls(ssl_context, server_hostname, self._allowance.left_s())
        return _BoundedStream(inner, self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore.NetworkBackend):
    """Opens bounded connections; the addresses of a host share one allowance."""

    def __init__(self, allowance: _Allowance) -> None:
        self._allowance = allowance
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        error: Exception = httpcore.ConnectError()
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            wait_s = self._allowance.left_s(CONNECT_TIMEOUT_S)
            try:
                stream = self._backend.connect_tcp(
                    str(address[0]), port, wait_s, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                error = exc
            else:
                return _BoundedStream(stream, self._allowance)
        raise error


class _PooledTransport(httpx.BaseTransport):
    """Pools of bounded connections, through the environment's proxy where it names one."""

    def __init__(self, allowance: _Allowance) -> None:
        self._allowance = allowance
        self._tls = httpx.create_ssl_context()
        self._pools: dict[str | None, httpcore.ConnectionPool] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body is read as it comes."""
        wire_request = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            extensions={"timeout": {"pool": self._allowance.left_s()}},
        )
        answer = self._pool_for(request.url).handle_request(wire_request)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()

    def _pool_for(self, url: httpx.URL) -> httpcore.ConnectionPool:
        """The pool of the proxy that the environment names for this host, or the direct one."""
        bypass = urllib.request.proxy_bypass(url.host)
        named = urllib.request.getproxies()
        proxy = None if bypass else named.get(url.scheme) or named.get("all")
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = self._new_pool(proxy)
            return self._pools[proxy]

    def _new_pool(self, proxy: str | None) -> httpcore.ConnectionPool:
        """A pool of connections, direct or through ``proxy``."""
        backend = _BoundedBackend(self._allowance)
        return httpcore.ConnectionPool(
            ssl_context=self._tls,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=backend,
            proxy=None if proxy is None else httpcore.Proxy(proxy),
        )


class _Body(httpx.SyncByteStream):
    """The body of an answer of the pool."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        """Give the connection back, or drop it when the body was not read to its end."""
        self._answer.close()
