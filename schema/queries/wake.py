"""pg_net: an HTTP request that the database sends once the transaction commits.

https://supabase.com/docs/guides/database/extensions/pg_net (read 2026-11-24)
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement

TIMEOUT_MS = 5000
POST = """net.http_post(url => :wake_url, body => CAST(:wake_body AS jsonb),
  headers => CAST(:wake_headers AS jsonb), timeout_milliseconds => :wake_timeout_ms)"""
_POST = Statement(f"SELECT {POST}")


class Wake(NamedTuple):
    """The request that starts the next run."""

    url: str
    headers: Mapping[str, str]
    body: str

    def parameters(self) -> dict[str, Any]:
        """What ``POST`` wants."""
        return {
            "wake_url": self.url,
            "wake_headers": json.dumps(dict(self.headers)),
            "wake_body": self.body,
            "wake_timeout_ms": TIMEOUT_MS,
        }


def post(connection: Connection, wake: Wake) -> None:
    """Have a request sent when the present transaction commits."""
    _POST.run(connection, **wake.parameters())
