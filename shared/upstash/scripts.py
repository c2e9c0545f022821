"""The Lua scripts, each whole: what they share, then what they do.

A script is sent as it is (EVAL): the cache of EVALSHA does not survive a restart, and asking twice
would cost a call. So what a person needs and Redis does not is left out.
"""

import re
from functools import cache
from importlib.resources import files

KEYS = ("jobs", "urgent", "plain", "leases", "buried", "shares", "heads")
SHARED = ("jobs", "shares")
# Upstash locks the whole database for a script that does not say that it keeps to its keys; a plain
# Redis 7 refuses the line. https://upstash.com/docs/redis/features/lua (read 2026-11-24)
KEY_LOCKING = "#!lua flags=allow-key-locking\n"


@cache
def script(name: str) -> str:
    """The text of one script: ``push``, ``begin``, ``finish`` .."""
    parts = [_lines(part) for part in (*SHARED, name)]
    return "local ask = cjson.decode(ARGV[1])\n" + "".join(parts)


def _lines(name: str) -> str:
    """A file without comments and indentation."""
    text = (files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
    return re.sub(r"^\s*(--.*)?\n?", "", text, flags=re.MULTILINE)
