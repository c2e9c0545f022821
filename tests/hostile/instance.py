"""One instance of a function: the application under uvicorn, within a runtime such as Vercel's.

The runtime's part, as ``vercel_runtime`` has it: each invocation is told when it will be ended
(``get_deadline``), and the platform is told when one is over, work after its answer included.
"""

import ctypes
import faulthandler
import json
import os
import signal
import socket
import sys
from contextvars import ContextVar
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from shared import holder
from shared.emulator.server import listen

NUMBER, END = "x-hostile-invocation", "x-hostile-end"
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG: a stopped process would outlive a test that was killed

_end: ContextVar[datetime | None] = ContextVar("hostile_end", default=None)


class Line:
    """What the platform hears of this instance: one JSON document a line."""

    def __init__(self, number: int) -> None:
        self._number = number

    def say(self, kind: str, value: int) -> None:
        """One write, so that a kill leaves no half of it among others."""
        os.write(self._number, json.dumps({"kind": kind, "value": value}).encode() + b"\n")


class Invocations:
    """Around the application: which invocation this is, until when it may run, and its end."""

    def __init__(self, app: ASGIApp, line: Line) -> None:
        self._app = app
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one invocation; the application returns when its background work is done."""
        told = {name.decode(): value.decode() for name, value in scope["headers"]}
        ours = (NUMBER.encode(), END.encode())
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in ours]
        _end.set(datetime.fromisoformat(told[END]))
        try:
            await self._app(scope, receive, send)
        finally:
            self._line.say("end", int(told[NUMBER]))


class _Server(uvicorn.Server):
    """Tells where it serves once it does."""

    def __init__(self, config: uvicorn.Config, line: Line) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        assert sockets
        self._line.say("started", sockets[0].getsockname()[1])


def main() -> None:
    """Serve until killed; the argument is the file descriptor that the platform listens at."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    faulthandler.register(signal.SIGUSR1)
    line = Line(int(sys.argv[1]))
    runtime: Any = ModuleType("vercel_runtime")
    runtime.get_deadline = _end.get
    sys.modules["vercel_runtime"] = runtime
    # On a platform nobody sees another instance's processes: a dead one holds what it held.
    holder.PROC = Path("/nowhere")
    app = import_module("functions.asgi").app
    config = uvicorn.Config(
        Invocations(app, line), log_level="warning", access_log=False, lifespan="off", ws="none"
    )
    _Server(config, line).run(sockets=[listen("127.0.0.1", 0)])


if __name__ == "__main__":
    main()
