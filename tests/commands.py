"""The command line as a user meets it: real processes with an environment of their own."""

import os
import subprocess
import sys
from pathlib import Path

from shared.emulator.server import variables

ROOT = Path(__file__).parent.parent
LONGEST_S = 90.0


def environment(
    home: Path, *, url: str | None = None, base: str | None = None, **more: str
) -> dict[str, str]:
    """What a process gets to see: nothing of ours but the database, the provider and ``more``."""
    found = {
        "PATH": os.defpath,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    }
    if url is not None:
        found["DATABASE_URL"] = url
    if base is not None:
        found |= dict(line.split("=", 1) for line in variables(base))
    return {**found, **more}


def start(env: dict[str, str], *args: str) -> subprocess.Popen[str]:
    """A command under way."""
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "functions.cli", *args],
        env=env,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended."""
    process = start(env, *args)
    try:
        out, err = process.communicate(timeout=LONGEST_S)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
