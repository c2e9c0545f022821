"""The emulated database: policy, scripts, limits and what Upstash would bill, over a backend."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import count
from typing import Any

from shared.emulator.upstash import backend as behind
from shared.emulator.upstash import policy
from shared.emulator.upstash.backend import Backend
from shared.emulator.upstash.policy import Limits, name_of
from shared.emulator.upstash.replies import Command, Failure, Reply, Withheld, size_of
from shared.emulator.upstash.scripts import Prepared, ScriptBook

UNKNOWN = b"ERR unknown command"
MOST_NOTED = 100_000  # keys


@dataclass(slots=True)
class Counters:
    """What was asked of it, for tests and benchmarks.

    ``calls`` are HTTP requests with a good token; ``commands`` is what Upstash bills: each command
    of a pipeline or a transaction counts one, and one EVAL counts one.
    """

    calls: int = 0
    commands: int = 0
    errors: int = 0
    refused_tokens: int = 0
    streams: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    by_command: Counter[str] = field(default_factory=Counter)

    def count(self, commands: Sequence[Command]) -> None:
        """Note one call and its commands."""
        self.calls += 1
        self.commands += len(commands)
        self.by_command.update(map(name_of, commands))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        # Not asdict: it breaks a Counter.
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**found, "by_command": dict(self.by_command)}


class Database:
    """Runs commands as Upstash would; knows nothing of HTTP."""

    def __init__(self, backend: Backend, *, limits: Limits | None = None) -> None:
        self.backend = backend
        self.limits = limits or Limits()
        self.counters = Counters()
        self._scripts = ScriptBook()
        self._server = secrets.token_hex(4)
        self._revisions = count(1)
        self._revision = 0
        self._sent: Counter[bytes] = Counter()  # bytes that went into each key, at most its size

    @property
    def sync_token(self) -> str:
        """Changes with every write."""
        return f"{self._server}-{self._revision}"

    async def start(self) -> None:
        """See that the backend answers."""
        self._scripts.shebangs = await self.backend.start()

    async def run(self, commands: Sequence[Command], *, read_only: bool = False) -> list[Reply]:
        """Run commands in order; a refused one has its error in its place."""
        found: list[Reply] = [await self._refusal(one, read_only=read_only) for one in commands]
        going = [place for place, refused in enumerate(found) if refused is None]
        prepared = [self._scripts.prepare(commands[place]) for place in going]
        replies = await behind.run(self.backend, [one.command for one in prepared])
        for place, one, reply in zip(going, prepared, replies, strict=True):
            found[place] = self._settled(commands[place], one, reply)
        return found

    async def run_atomically(
        self, commands: Sequence[Command], *, read_only: bool = False
    ) -> list[Reply] | Failure:
        """Run commands as a transaction; one refused command discards it as a whole."""
        for command in commands:
            refused = await self._refusal(command, read_only=read_only)
            if refused is not None:
                return refused
        prepared = [self._scripts.prepare(command) for command in commands]
        replies = await behind.run_atomically(self.backend, [one.command for one in prepared])
        if isinstance(replies, Failure):
            return replies
        return [self._settled(*three) for three in zip(commands, prepared, replies, strict=True)]

    async def listen(self, command: Command) -> AsyncIterator[Reply]:
        """What a subscription or MONITOR brings, without end."""
        self.counters.streams += 1
        async for reply in self.backend.listen(command):
            yield reply

    async def empty(self) -> None:
        """Lose everything but the scripts; not counted as a command."""
        # As FLUSHALL on Upstash, which has one database; the Redis behind may have others.
        await behind.run(self.backend, [[b"FLUSHDB"]])
        self._sent.clear()
        self._revision = next(self._revisions)

    async def forget_scripts(self) -> None:
        """Lose the script cache; not counted as a command."""
        await behind.run(self.backend, [self._scripts.prepare([b"SCRIPT", b"FLUSH"]).command])

    async def _refusal(self, command: Command, *, read_only: bool) -> Failure | None:
        refused = policy.refusal(command, read_only=read_only, limits=self.limits)
        if refused is None and len(command) > 1 and name_of(command) in policy.GROWING:
            return await self._too_long(command)
        return refused

    async def _too_long(self, command: Command) -> Failure | None:
        """Ask for the record's size only when what was sent into it could reach the limit."""
        key = command[1]
        added = sum(map(len, command[2:]))
        if len(self._sent) >= MOST_NOTED:
            self._sent.clear()
        self._sent[key] += added
        if self._sent[key] <= self.limits.record_bytes:
            return None
        lengths = await behind.run(self.backend, [[b"STRLEN", key], [b"MEMORY", b"USAGE", key]])
        known = [length for length in lengths if isinstance(length, int)]
        actual = (known[0] if known else self._sent[key] - added) + added
        if actual <= self.limits.record_bytes:
            self._sent[key] = actual
            return None
        self._sent[key] -= added
        return policy.too_large("single record", self.limits.record_bytes, actual)

    def _settled(self, command: Command, prepared: Prepared, reply: Reply) -> Reply:
        """The reply as Upstash gives it; a write moves the sync token."""
        if isinstance(reply, Failure):
            return policy.unavailable(name_of(command)) if reply.startswith(UNKNOWN) else reply
        if policy.writes(command):
            self._revision = next(self._revisions)
        size = size_of(reply)
        if size > self.limits.request_bytes:
            return Withheld(policy.too_large("request", self.limits.request_bytes, size))
        return reply if prepared.answer is None else prepared.answer
