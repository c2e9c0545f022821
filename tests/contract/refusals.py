"""Answers of Etherscan-like providers that are no data, and what each must become."""

from typing import Any

from shared.errors import (
    SourceDeniedError,
    SourceError,
    SourceNotReadyError,
    SourcePayloadError,
    SourceRateLimitedError,
    SourceUnavailableError,
    SourceUnsupportedError,
)
from tests import dialects
from tests.contract.source_cases import native_row, refused

TIMEOUT_TEXT = "Unexpected error, timeout or server too busy. Please try again later"
WINDOW_TEXT = "Result window is too large, PageNo x Offset size must be less than or equal to 10000"
FREE_TEXT = (
    "Free API access is not supported for this chain. Please upgrade your api plan for full "
    "chain coverage. https://etherscan.io/apis"
)
CHAIN_TEXT = (
    "Missing or unsupported chainid parameter (required for v2 api), please see "
    "https://api.etherscan.io/v2/chainlist for the list of supported chainids"
)
RATE_TEXT = "Max rate limit reached, please use API Key for higher rate limit"
UNPROCESSED = "Some internal transactions within this block range have not yet been processed"
REFUSALS: dict[str, tuple[int, Any, type[SourceError]]] = {
    "max rate": (200, refused(RATE_TEXT), SourceRateLimitedError),
    "per second": (
        200,
        refused("Max calls per sec rate limit reached (3/sec)"),
        SourceRateLimitedError,
    ),
    "daily": (200, refused("Max daily rate limit reached"), SourceRateLimitedError),
    "invalid key": (200, refused("Invalid API Key"), SourceDeniedError),
    "invalid key err2": (200, refused("Invalid API Key (#err2)|"), SourceDeniedError),
    "missing key": (200, refused("Missing/Invalid API Key"), SourceDeniedError),
    "bare 401": (401, b"", SourceDeniedError),
    "401 with words": (401, {"message": "Unauthorized"}, SourceDeniedError),
    "free key": (200, refused(FREE_TEXT), SourceUnsupportedError),
    "chain id": (200, refused(CHAIN_TEXT), SourceUnsupportedError),
    "routescan chain": (
        200,
        {"status": "0", "message": "chain not supported", "result": None},
        SourceUnsupportedError,
    ),
    "unknown action": (
        400,
        {"message": "Unknown action", "result": None, "status": "0"},
        SourceUnsupportedError,
    ),
    "action name": (
        200,
        refused("Error! Missing Or invalid Action name"),
        SourceUnsupportedError,
    ),
    "window": (200, refused(WINDOW_TEXT), SourcePayloadError),
    "busy": (200, refused(TIMEOUT_TEXT), SourceUnavailableError),
    "query timeout": (
        200,
        refused("Query Timeout occured. Please select a smaller result dataset"),
        SourceUnavailableError,
    ),
    "not processed": (
        200,
        {"status": "2", "message": UNPROCESSED, "result": []},
        SourceNotReadyError,
    ),
    "not processed, rows": (
        200,
        {"status": "2", "message": UNPROCESSED, "result": [native_row()]},
        SourceNotReadyError,
    ),
    "empty with an error": (
        200,
        {"status": "0", "message": "NOTOK", "result": []},
        SourcePayloadError,
    ),
    "empty and busy": (
        200,
        {"status": "0", "message": TIMEOUT_TEXT, "result": []},
        SourceUnavailableError,
    ),
    "empty and OK": (200, {"status": "0", "message": "OK", "result": []}, SourcePayloadError),
    "empty without a message": (200, {"status": "0", "result": []}, SourcePayloadError),
    "no key found": (
        200,
        {"status": "0", "message": "No API key found", "result": []},
        SourcePayloadError,
    ),
    "nothing found, and yet rows": (
        200,
        {"status": "0", "message": "No transactions found", "result": [native_row()]},
        SourcePayloadError,
    ),
    "nothing found, null": (
        200,
        {"status": "0", "message": "No transactions found", "result": None},
        SourcePayloadError,
    ),
    "null": (200, {"status": "1", "message": "OK", "result": None}, SourcePayloadError),
    "success without rows": (
        200,
        {"status": "1", "message": "OK", "result": "5"},
        SourcePayloadError,
    ),
    "success without result": (200, {"status": "1", "message": "OK"}, SourcePayloadError),
    "no status": (200, {"result": []}, SourcePayloadError),
    "other status": (200, {"status": "3", "message": "OK", "result": []}, SourcePayloadError),
    "empty object": (200, {}, SourcePayloadError),
    "list": (200, [], SourcePayloadError),
    "rows of text": (200, {"status": "1", "message": "OK", "result": ["x"]}, SourcePayloadError),
    "rows of null": (200, {"status": "1", "message": "OK", "result": [None]}, SourcePayloadError),
    "words in objects": (
        200,
        {"status": "0", "message": {"a": []}, "result": {"b": []}},
        SourcePayloadError,
    ),
    "deep": (200, b'{"status":"1","result":' + b"[" * 100_000, SourceError),
    "web page": (200, b"<!DOCTYPE html><html>Checking your browser</html>", SourceUnavailableError),
    "web page 403": (403, b"<html>Access denied</html>", SourceUnavailableError),
    "web page 502": (502, b"<html>Bad gateway</html>", SourceUnavailableError),
    "500": (500, dialects.answer([native_row()]), SourceUnavailableError),
    "503 nothing found": (
        503,
        {"status": "0", "message": "No transactions found", "result": []},
        SourceUnavailableError,
    ),
    "404 with rows": (404, dialects.answer([native_row()]), SourceUnavailableError),
    "404 nothing found": (
        404,
        {"status": "0", "message": "No transactions found", "result": []},
        SourceUnavailableError,
    ),
    "302": (302, b"", SourceUnavailableError),
    "204": (204, b"", SourceUnavailableError),
    "429": (429, b"slow down", SourceRateLimitedError),
    "cut": (
        200,
        b'{"status":"1","message":"OK","result":[{"blockNumber":"1"',
        SourceUnavailableError,
    ),
    "nothing at all": (200, b"", SourceUnavailableError),
    "json-rpc error": (
        200,
        {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "too many requests"}},
        SourceRateLimitedError,
    ),
}
