"""Upstash's own clients for Node, in the folder beside, against the local Upstash."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.emulator.upstash.server import LocalUpstash, serving_upstash

HERE = Path(__file__).parent / "upstash"
INSTALLED = HERE / "node_modules" / ".package-lock.json"
LONGEST_S = 120.0


def environment(upstash: LocalUpstash, home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),  # noqa: TID251 - where node is
        "HOME": str(home),
        "UPSTASH_REDIS_REST_URL": upstash.url,
        "UPSTASH_REDIS_REST_TOKEN": upstash.token,
    }


def install() -> None:
    """``npm ci``, once for each state of the lock file."""
    lock = HERE / "package-lock.json"
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"]
        subprocess.run(command, cwd=HERE, check=True, timeout=LONGEST_S)  # noqa: S603 - ours


# One test, not one for each backend: two workers must not install into one folder at once.
def test_upstash_clients_for_node_pass_over_both_backends(redis_url: str, tmp_path: Path) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node here: apt-get install nodejs npm")
    install()

    for url in (redis_url.removesuffix("/0") + "/9", None):
        with serving_upstash(url) as upstash:
            done = subprocess.run(
                ["node", "--test", "--test-concurrency=1"],  # noqa: S607 - from PATH
                cwd=HERE,
                env=environment(upstash, tmp_path),
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        assert done.returncode == 0, f"over {upstash.backend_name}:\n{done.stdout}{done.stderr}"
        assert "# pass 39\n" in done.stdout  # node --test is content with no test at all
