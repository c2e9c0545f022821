"""From nothing to the first answer of what Vercel's own command line built, bytecode included.

Ours answers ``GET balances`` from Postgres; the floor is a FastAPI application of one function that
says hello, built in the same way. Only where Node and a Python that Vercel's runtime takes are.
"""

import json
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.harness import Measure, interleaved, limit, postgres, ratio
from tests import npm, vercel
from tests.factories import make_address, make_stream, make_wallet, save
from tests.vercel import Bundle

ROUNDS = 7
TOKEN = "token"  # noqa: S105 - made up
OURS, FLOOR = "/api/wallets/1/balances", "/"
MB = 1_000_000
BARE = {
    "main.py": """
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}
""",
    "pyproject.toml": """
[project]
name = "bare"
version = "0"
requires-python = ">=3.12"
dependencies = ["fastapi"]

[tool.vercel]
entrypoint = "main:app"

[tool.uv]
package = false
""",
}


def built(home: Path, python: Path) -> tuple[Bundle, Path]:
    """What the command line makes of a project, laid out as the platform does."""
    vercel.build(home, python, "fastapi")
    bundle = Bundle(home, home / ".vercel/output/functions/fastapi.func")
    unpacked = home / "unpacked"
    bundle.unpack(unpacked)
    return bundle, unpacked


def first_answer(
    bundle: Bundle, unpacked: Path, python: Path, env: dict[str, str], path: str, _: int
) -> None:
    """Start the bundle's own runtime, get one answer."""
    with (
        vercel.serving(unpacked, bundle, python, env) as url,
        vercel.client(url, TOKEN) as client,
    ):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text


def run() -> list[Measure]:
    """The measures of this file."""
    python = vercel.newer_python()
    assert python is not None, "this benchmark needs Python 3.12 or newer"
    npm.install(vercel.CLI.parents[2])
    with tempfile.TemporaryDirectory() as folder, postgres() as engine:
        [address] = save(engine, make_address())
        save(engine, make_stream(address_id=address.id))
        save(engine, make_wallet())
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        ours, bare = Path(folder, "ours"), Path(folder, "bare")
        for home in (ours, bare):
            home.mkdir()
        vercel.copy_project(ours)
        for name, content in BARE.items():
            (bare / name).write_text(content)
        shared = json.loads((ours / "vercel.json").read_text())["build"]
        (bare / "vercel.json").write_text(json.dumps({"build": shared}))
        our_bundle, our_files = built(ours, python)
        bare_bundle, bare_files = built(bare, python)
        size = sum((our_files / name).stat().st_size for name in our_bundle.files) / MB
        env = {"DATABASE_URL": url, "API_TOKEN": TOKEN}
        took, floor = interleaved(
            ROUNDS,
            partial(first_answer, our_bundle, our_files, python, env, OURS),
            partial(first_answer, bare_bundle, bare_files, python, {}, FLOOR),
        )
    return [
        ratio("first answer of the built bundle, against bare FastAPI", took * 1e3, floor * 1e3,
              "ms", most=2.2),
        limit("the built bundle with its bytecode", size, "MB", most=80),
    ]  # fmt: skip
