"""Lua scripts with ``#!lua flags=..`` in their first line, for a Redis that refuses these flags.

Upstash takes its own flag ``allow-key-locking`` there. A plain Redis answers "Unexpected flag in
script shebang", and before version 7 knows no such line at all. A script's address is the SHA-1
of the text that the client has, so both addresses are kept.
"""

import hashlib
from dataclasses import dataclass

from shared.emulator.upstash.policy import name_of
from shared.emulator.upstash.replies import Command

OURS = b"allow-key-locking"
BY_TEXT = ("EVAL", "EVAL_RO")
BY_SHA = ("EVALSHA", "EVALSHA_RO")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command as the Redis behind gets it, and the answer to give instead of its own."""

    command: Command
    answer: bytes | None = None


def sha_of(script: bytes) -> bytes:
    """The address of a script."""
    return hashlib.sha1(script).hexdigest().encode()  # noqa: S324 - Redis' own choice


def plain(script: bytes, *, shebangs: bool) -> bytes:
    """The script without what its server does not know; line numbers stay."""
    head, newline, rest = script.partition(b"\n")
    if not head.startswith(b"#!lua"):
        return script
    words = []
    for word in head.split():
        if word.startswith(b"flags="):
            flags = [flag for flag in word[len(b"flags=") :].split(b",") if flag not in {b"", OURS}]
            if flags:
                words.append(b"flags=" + b",".join(flags))
        else:
            words.append(word)
    if not shebangs or words == [b"#!lua"]:
        return newline + rest
    return b" ".join(words) + newline + rest


class ScriptBook:
    """Remembers under which address the Redis behind knows a script.

    Args:
        shebangs: Whether that Redis reads the first line itself: from version 7 on.
    """

    def __init__(self, *, shebangs: bool = False) -> None:
        self.shebangs = shebangs
        self._known_as: dict[bytes, bytes] = {}

    def prepare(self, command: Command) -> Prepared:
        """The command for the Redis behind; one that is no script stays as it is."""
        name = name_of(command)
        if len(command) > 1 and name in BY_TEXT:
            return Prepared([command[0], self._noted(command[1]), *command[2:]])
        if len(command) > 1 and name in BY_SHA:
            return Prepared([command[0], self._known(command[1]), *command[2:]])
        return self._script(command) if name == "SCRIPT" and len(command) > 1 else Prepared(command)

    def _script(self, command: Command) -> Prepared:
        word = command[1].upper()
        if word == b"LOAD" and len(command) == len(("SCRIPT", "LOAD", "text")):
            loaded = self._noted(command[2])
            return Prepared([*command[:2], loaded], answer=sha_of(command[2]))
        if word == b"EXISTS":
            return Prepared([*command[:2], *map(self._known, command[2:])])
        if word == b"FLUSH":
            self._known_as.clear()
        return Prepared(command)

    def _noted(self, script: bytes) -> bytes:
        made = plain(script, shebangs=self.shebangs)
        if made != script:
            self._known_as[sha_of(script)] = sha_of(made)
        return made

    def _known(self, sha: bytes) -> bytes:
        return self._known_as.get(sha.lower(), sha)
