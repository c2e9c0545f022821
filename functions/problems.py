"""Every error of the API as an RFC 9457 problem document with a stable code.

https://www.rfc-editor.org/rfc/rfc9457
"""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from shared.errors import (
    ConfigError,
    DeadlineExceededError,
    InvalidInputError,
    LeaseLostError,
    NotFoundError,
    RedisError,
    ReplayedError,
    SourceError,
    SourceRateLimitedError,
    StorageError,
    StorageRefusedError,
    TallybookError,
    TriggerError,
    UnauthorizedError,
)
from shared.storage import meaning_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_STORAGE_S = 2
# The narrowest class comes first.
STATUSES: tuple[tuple[type[TallybookError], int], ...] = (
    (InvalidInputError, 422),
    (NotFoundError, 404),
    (UnauthorizedError, 401),
    (LeaseLostError, 409),
    (ReplayedError, 409),
    (RedisError, 503),
    (TriggerError, 503),
    (ConfigError, 503),
    (DeadlineExceededError, 503),
    (StorageRefusedError, 500),
    (StorageError, 503),
    (SourceRateLimitedError, 503),
    (SourceError, 502),
)
CODES = {
    HTTPStatus.BAD_REQUEST: "invalid_json",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, for machines (``code``) and people (``detail``, ``fix``)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str
    fix: str = ""
    field: str = ""


def problem(
    scope: Mapping[str, Any],
    status: int,
    code: str,
    detail: str,
    *,
    fix: str = "",
    field: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that failed."""
    document = Problem(
        type=f"urn:tallybook:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        instance=str(scope.get("path", "")),
        request_id=_request_id(scope),
        fix=fix,
        field=field,
    )
    content = msgspec.json.encode(document)
    return Response(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Have the application answer every error with a problem document."""
    app.add_exception_handler(TallybookError, _tallybook_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolTimeoutError, _pool_is_empty)


def unexpected(scope: Mapping[str, Any], exc: Exception) -> Response:
    """A bug: all of it in the log, nothing of it in the answer."""
    log.error("unexpected error", exc_info=exc, extra=_trace(scope))
    detail = "something went wrong on our side; the log knows it by the request id"
    return problem(scope, 500, TallybookError.code, detail)


def _request_id(scope: Mapping[str, Any]) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


def _trace(scope: Mapping[str, Any]) -> dict[str, str]:
    """What leads from an answer to its line in the log."""
    return {"request_id": _request_id(scope), "path": str(scope.get("path", ""))}


def _tallybook_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, TallybookError)  # noqa: S101 - registered for it
    status = next((status for kind, status in STATUSES if isinstance(exc, kind)), None)
    if status is None:
        return unexpected(request.scope, exc)
    headers = {}
    if isinstance(exc, UnauthorizedError):
        headers = {"WWW-Authenticate": "Bearer"}
    elif isinstance(exc, SourceRateLimitedError):
        headers = {"Retry-After": str(math.ceil(exc.retry_after_s))}
    elif isinstance(exc, StorageError) and exc.retryable:
        headers = {"Retry-After": str(RETRY_STORAGE_S)}
    return problem(request.scope, status, exc.code, exc.detail, fix=exc.how_to_fix, headers=headers)


def _validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # noqa: S101 - registered for it
    # Without the value: it may be a secret, and NaN cannot be written.
    first = exc.errors()[0]
    malformed = first.get("type") == "json_invalid"
    where, *path = (str(part) for part in first["loc"])
    field = ".".join(path) or where
    if malformed:
        return problem(request.scope, 400, "invalid_json", "the body is not JSON")
    detail = f"{field}: {first['msg']}"
    return problem(request.scope, 422, InvalidInputError.code, detail, field=field)


def _http_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - registered for it
    code = CODES.get(HTTPStatus(exc.status_code), f"http_{exc.status_code}")
    return problem(request.scope, exc.status_code, code, str(exc.detail), headers=exc.headers or {})


def _database_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, DBAPIError)  # noqa: S101 - registered for it
    meaning = meaning_of(exc)
    if not meaning.retryable:
        return unexpected(request.scope, exc)
    log.error("the database failed", exc_info=exc, extra=_trace(request.scope))
    headers = {"Retry-After": str(RETRY_STORAGE_S)}
    return problem(
        request.scope, 503, meaning.code, meaning.sentence, fix=meaning.fix, headers=headers
    )


def _pool_is_empty(request: Request, exc: Exception) -> Response:
    log.error("no connection was free in time", exc_info=exc, extra=_trace(request.scope))
    headers = {"Retry-After": str(RETRY_STORAGE_S)}
    detail = "too many calls at once: no connection to the database was free in time"
    return problem(request.scope, 503, StorageError.code, detail, headers=headers)
