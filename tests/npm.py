"""Packages for Node that tests need, installed beside them."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

LONGEST_S = 300.0


def search_path() -> str:
    """Where programs are looked for."""
    return os.environ.get("PATH", os.defpath)  # noqa: TID251 - of the tests, not of the product


def install(folder: Path) -> None:
    """What the lock file says, once for each state of it, by one process at a time.

    Not ``npm ci``: it refuses a lock file without the packages of other systems, which a registry
    need not have. What the file holds is installed in its versions and checked by its hashes.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node here: apt-get install nodejs npm")
    lock, done = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefer-offline"]
            subprocess.run(command, cwd=folder, check=True, timeout=LONGEST_S)  # noqa: S603 - ours
