"""The process of one instance, as the platform holds it: started, frozen, thawed and killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests import commands


class Instance:
    """A process that serves; whatever it says of its invocations is told to ``ended``."""

    def __init__(
        self,
        env: dict[str, str],
        stderr: Path,
        ended: Callable[["Instance", int], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.jobs: dict[int, Any] = {}  # the invocations that have not ended
        self.waiting = 0  # requests on their way to it, or whose answers are
        self.url = ""
        self.is_dead = False
        self.started = loop.create_future()
        self._frozen = False
        self._pauses = 0
        self._ended = ended
        self._heard = b""
        self._loop = loop
        self._reads, writes = os.pipe()
        with stderr.open("a") as file:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "tests.hostile.instance", str(writes)],
                env=env,
                cwd=commands.ROOT,
                pass_fds=(writes,),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        os.close(writes)
        loop.add_reader(self._reads, self._hear)

    @property
    def is_idle(self) -> bool:
        """Whether nobody has anything to do with it."""
        return not (self.is_dead or self.jobs or self.waiting)

    @property
    def load(self) -> int:
        """How busy it is."""
        return len(self.jobs) + self.waiting

    async def runs(self) -> bool:
        """Wait for its start; False when it died meanwhile."""
        await asyncio.wait([self.started])
        return not self.is_dead

    def freeze(self) -> None:
        """Stop it, as a platform does to one without work."""
        self._frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, unless it is in the middle of a pause."""
        self._frozen = False
        if not self._pauses:
            self._signal(signal.SIGCONT)

    def pause(self) -> None:
        """Stop it at work."""
        self._pauses += 1
        self._signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """The end of a pause."""
        self._pauses -= 1
        if not self._pauses and not self._frozen:
            self._signal(signal.SIGCONT)

    def dump(self) -> None:
        """Have it write down where each of its threads is."""
        self._signal(signal.SIGUSR1)

    def kill(self) -> None:
        """SIGKILL, and know its end."""
        if self.is_dead:
            return
        self.is_dead = True
        self._loop.remove_reader(self._reads)
        os.close(self._reads)
        self._process.kill()
        self._process.wait()
        self.jobs.clear()
        if not self.started.done():
            self.started.set_result(None)

    def _signal(self, number: signal.Signals) -> None:
        if not self.is_dead:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def _hear(self) -> None:
        said = os.read(self._reads, 65_536)
        if not said:
            self.kill()  # it is dead already, by itself
            return
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if message["kind"] == "started":
                self.url = f"http://127.0.0.1:{message['value']}"
                self.started.set_result(None)
            else:
                self._ended(self, message["value"])
