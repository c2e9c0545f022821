"""Where the commands run: a real Redis or one in this process, behind one small Protocol."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from shared.emulator.upstash.replies import Command, Failure, Reply


class BackendDownError(Exception):
    """The Redis behind cannot be reached, or went away; nobody knows what ran."""


class Connection(Protocol):
    """One connection; nobody else's command comes between what it sends as a transaction."""

    async def call(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all, then read as many replies.

        Raises:
            BackendDownError: The connection died.
        """
        ...


class Backend(Protocol):
    """A Redis that answers exactly what a Redis answers."""

    @property
    def name(self) -> str:
        """What it is, for a person; no password in it."""
        ...

    async def start(self) -> bool:
        """See that it answers; gives whether it knows ``#!lua`` lines.

        Raises:
            BackendDownError: It does not.
        """
        ...

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for the use of one request."""
        ...

    def listen(self, command: Command) -> AsyncIterator[Reply]:
        """Send SUBSCRIBE, PSUBSCRIBE or MONITOR and give all that comes, without end."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


async def run(backend: Backend, commands: Sequence[Command]) -> list[Reply]:
    """Run commands in order; others may come between."""
    if not commands:
        return []
    async with backend.connection() as connection:
        return await connection.call(commands)


async def run_atomically(backend: Backend, commands: Sequence[Command]) -> list[Reply] | Failure:
    """Run commands as one transaction, or none of them."""
    async with backend.connection() as connection:
        replies = await connection.call([[b"MULTI"], *commands, [b"EXEC"]])
    done = replies[-1]
    if isinstance(done, list):
        return done
    return done if isinstance(done, Failure) else Failure(b"EXECABORT Transaction discarded.")
