"""What is wrong with a database's URL on a platform, before any connection is tried.

Sources: https://supabase.com/docs/guides/database/connecting-to-postgres and
https://vercel.com/docs/functions (no IPv6, instances without a disk), read 2026-11-24.
"""

import ipaddress
from dataclasses import dataclass

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from shared.errors import ConfigError
from shared.platform import Platform

SESSION_PORT, DEFAULT_PORT = 5432, 5432
ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})
POOLER, DIRECT = ".pooler.supabase.com", (".supabase.co", ".supabase.net")
# Networks of a platform's own, encrypted below what we see.
PRIVATE_SUFFIXES = (".internal", ".local", ".localhost")
TRANSACTION_FORM = (
    "postgresql://postgres.<ref>:<password>@<region>.pooler.supabase.com:6543/postgres"
    "?sslmode=require"
)
IPV6_ONLY = (
    "DATABASE_URL names Supabase's direct host, which has an IPv6 address only",
    f"Set DATABASE_URL to {TRANSACTION_FORM}, or with the IPv4 add-on append"
    " &hostaddr=<its IPv4 address>.",
)
SESSION_MODE = (
    "DATABASE_URL names Supabase's pooler in session mode (port 5432), where each instance holds"
    " connections that the next one lacks",
    f"Set DATABASE_URL to {TRANSACTION_FORM}: the same with port 6543.",
)
NO_TLS = (
    "DATABASE_URL names a remote server without demanding TLS",
    "Append ?sslmode=require to DATABASE_URL (& if it has a ? already), or sslmode=verify-full"
    " with sslrootcert.",
)


@dataclass(frozen=True, slots=True)
class Objection:
    """Something wrong; it holds no part of the URL. ``fatal``: it cannot work on this platform."""

    detail: str
    fix: str
    fatal: bool


def objections(url: str | None, platform: Platform) -> list[Objection]:
    """What speaks against a ``DATABASE_URL``, None being the default; the worst comes first."""
    try:
        parsed = None if url is None else make_url(url)
    except (ArgumentError, ValueError):
        return []  # the engine says so, in better words
    fatal = platform.is_ephemeral
    if parsed is None or parsed.get_backend_name() == "sqlite":
        return [_no_disk(platform, named=parsed is not None)] if fatal else []
    endpoints = _endpoints(parsed)
    found = []
    if any(_is_ipv6_only(host) for host, _ in endpoints) and "hostaddr" not in parsed.query:
        found.append(Objection(*IPV6_ONLY, fatal))
    if any(host.endswith(POOLER) and port == SESSION_PORT for host, port in endpoints):
        found.append(Objection(*SESSION_MODE, fatal))
    if any(_is_remote(host) for host, _ in endpoints) and _sslmode(parsed) not in ENCRYPTED:
        found.append(Objection(*NO_TLS, fatal))
    return found


def check(url: str | None, platform: Platform) -> None:
    """Refuse a URL that cannot work on this platform.

    Raises:
        ConfigError: Names the variable, what is wrong and the right form.
    """
    for objection in objections(url, platform):
        if objection.fatal:
            raise ConfigError(objection.detail, fix=objection.fix)


def _no_disk(platform: Platform, *, named: bool) -> Objection:
    state = "names an SQLite file" if named else "is not set"
    return Objection(
        f"DATABASE_URL {state}, and {platform.value} keeps no files",
        "Set DATABASE_URL to a Postgres database: postgresql://user:password@host/db"
        "?sslmode=require.",
        fatal=True,
    )


def _endpoints(url: URL) -> list[tuple[str, int]]:
    """Every host and port that may be connected to; a path is a unix socket.

    As SQLAlchemy reads them: ``//host:1``, ``?host=a,b&port=1,2`` or ``?host=a:1&host=b:2``.
    """
    ports = [int(port) for port in _values(url, "port") if port.isdecimal()]
    found = []
    for place, given in enumerate(_values(url, "host") or [url.host or ""]):
        host, _, port = given.partition(":") if given.count(":") == 1 else (given, "", "")
        others = ports[place : place + 1] or ports[:1] or [url.port or DEFAULT_PORT]
        found.append((host.lower().rstrip("."), int(port) if port.isdecimal() else others[0]))
    return found


def _values(url: URL, name: str) -> list[str]:
    given = url.query.get(name, ())
    texts = [given] if isinstance(given, str) else given
    return [part.strip() for text in texts for part in text.split(",")]


def _is_ipv6_only(host: str) -> bool:
    return host.startswith("db.") and host.endswith(DIRECT)


def _is_remote(host: str) -> bool:
    """Whether the way there may lead through networks of others."""
    if host.startswith(("/", "@")) or host.endswith(PRIVATE_SUFFIXES):
        return False
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_private
    except ValueError:
        return "." in host  # a bare name is of this machine or its own network


def _sslmode(url: URL) -> str:
    return (_values(url, "sslmode") or [""])[-1]
