"""Answers that a client need not fetch twice: ETag and If-None-Match (RFC 9110, 13.1.2)."""

from fastapi import Response

# The client may keep the answer, but asks each time; nobody between us may keep it.
ASK_EACH_TIME = "private, no-cache"


def caching_headers(mark: str) -> dict[str, str]:
    """The headers that both answers carry, with a weak tag: equal in meaning, not in each byte."""
    return {"ETag": f'W/"{mark}"', "Cache-Control": ASK_EACH_TIME}


def is_known(mark: str, if_none_match: str | None) -> bool:
    """Whether the client has this answer already."""
    if if_none_match is None:
        return False
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in {"*", f'"{mark}"'} for tag in tags)


def not_modified(mark: str) -> Response:
    """304: what the client has is still good."""
    return Response(status_code=304, headers=caching_headers(mark))
