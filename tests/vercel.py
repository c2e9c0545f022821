"""Vercel without its cloud: its own command line builds the project, and what it built is served.

The platform's side, in short: the bundle is the trampoline plus every file of ``filePathMap``; the
runtime says on a unix socket, named by ``VERCEL_IPC_PATH``, on which port it serves.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tests.npm import search_path

ROOT = Path(__file__).parent.parent
CLI = ROOT / "tests" / "node" / "vercel" / "node_modules" / ".bin" / "vercel"
OLDEST_PYTHON = (3, 12)  # vercel-runtime's own demand
NAMES = ("python3.12", "python3.13", "python3.14", "python3")
LONGEST_BUILD_S = 300.0
LONGEST_START_S = 60.0
SAY_VERSION = "import sys; print(*sys.version_info[:2])"
START = "import sys; sys.path.insert(0, '.'); import vc__handler__python"
# What the platform says of an invocation; the runtime wants all of them.
INVOCATION = {
    f"x-vercel-internal-{word}-id": "1" for word in ("invocation", "request", "span", "trace")
}


@dataclass(frozen=True)
class Bundle:
    """What was built: bundle path to file, and how the platform is to run it."""

    project: Path
    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the builder tells the platform."""
        found: dict[str, Any] = json.loads((self.folder / ".vc-config.json").read_text())
        return found

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every file as it will lie in the bundle, and where it is now."""
        mapped = {name: self.project / path for name, path in self.config["filePathMap"].items()}
        own = {path.name: path for path in self.folder.iterdir() if path.suffix == ".py"}
        return mapped | own

    def unpack(self, into: Path) -> None:
        """Lay the files out as the platform does."""
        for name, path in self.files.items():
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def newer_python() -> Path | None:
    """A Python that Vercel's runtime accepts, from the PATH or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))  # noqa: TID251 - no settings
    folders = [*search_path().split(os.pathsep), *map(str, pyenv.glob("versions/*/bin"))]
    for name in NAMES:
        for folder in folders:
            program = Path(folder) / name
            if "shims" not in program.parts and program.exists() and _is_new(program):
                return program
    return None


def _is_new(python: Path) -> bool:
    command = [str(python), "-c", SAY_VERSION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.returncode == 0 and tuple(map(int, done.stdout.split())) >= OLDEST_PYTHON


def copy_project(into: Path) -> None:
    """The project as a deployment sees it: what git tracks or would, else all but what it ignores.

    Without git the names in ``.gitignore`` decide.
    """
    git = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        names = [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
        for name in names:
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, into / name)
        return
    ignored = (ROOT / ".gitignore").read_text().split()
    patterns = [name.rstrip("/") for name in (".git", *ignored)]
    shutil.copytree(ROOT, into, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*patterns))


def build(project: Path, python: Path, framework: str | None) -> None:
    """``vercel build`` as the cloud runs it, with a project file in place of a login."""
    settings = {"framework": framework} if framework else {}
    linked = {"projectId": "prj_none", "orgId": "team_none", "settings": settings}
    (project / ".vercel").mkdir()
    (project / ".vercel" / "project.json").write_text(json.dumps(linked))
    config = json.loads((project / "vercel.json").read_text())
    # uv lies beside the Python that runs the tests.
    programs = [str(python.parent), str(Path(sys.executable).parent), search_path()]
    env = {
        **{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"},  # noqa: TID251
        "PATH": os.pathsep.join(programs),
        "NO_UPDATE_NOTIFIER": "1",
        "VERCEL_TELEMETRY_DISABLED": "1",
        # The cloud sets these before it calls the builder; the command line alone does not.
        **config.get("build", {}).get("env", {}),
    }
    with tempfile.TemporaryDirectory() as home:
        words = ("build", "--yes", "--token", "none", "--global-config", home)
        done = subprocess.run(  # noqa: S603 - pinned by our lock file
            [str(CLI), *words],
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            timeout=LONGEST_BUILD_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def serving(unpacked: Path, bundle: Bundle, python: Path, env: dict[str, str]) -> Iterator[str]:
    """The bundle's own runtime in a process of its own; gives ``http://127.0.0.1:PORT``."""
    # The path of a unix socket holds 107 characters: pytest's own folders are too deep.
    with tempfile.TemporaryDirectory(prefix="tbvc") as short, socket.socket(socket.AF_UNIX) as ipc:
        ipc.bind(f"{short}/ipc")
        ipc.listen()
        ipc.settimeout(LONGEST_START_S)
        process = subprocess.Popen(  # noqa: S603 - what we built
            [str(python), "-S", "-c", START],
            cwd=unpacked,
            env=process_env(bundle, env) | {"VERCEL_IPC_PATH": f"{short}/ipc"},
        )
        try:
            with ipc.accept()[0] as said:
                said.settimeout(LONGEST_START_S)
                yield f"http://127.0.0.1:{_port(said)}"
        finally:
            process.kill()
            process.wait()


def process_env(bundle: Bundle, env: dict[str, str]) -> dict[str, str]:
    """What the platform lets a function see."""
    return {"PATH": os.defpath, "VERCEL": "1", **bundle.config["environment"], **env}


def _port(said: socket.socket) -> int:
    """The port of the first message; messages end with NUL."""
    heard = b""
    while b"\0" not in heard:
        more = said.recv(65_536)
        assert more, "the runtime ended before it served"
        heard += more
    message = json.loads(heard.split(b"\0")[0])
    assert message["type"] == "server-started", message
    port: int = message["payload"]["httpPort"]
    return port


def client(url: str, token: str) -> httpx.Client:
    """A caller from outside, behind the platform's proxy."""
    headers = {**INVOCATION, "authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=LONGEST_START_S, trust_env=False)


def json_blocks(document: Path) -> list[dict[str, Any]]:
    """The JSON examples of a page of our documentation."""
    found = re.findall(r"^```json\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    return [json.loads(text) for text in found]
