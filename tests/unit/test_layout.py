"""Rules of the code base that no linter knows."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("functions", "shared", "schema", "tests", "benchmarks")
MOST_LINES = 400
# Not needed to answer a request: each would be paid for by every cold start.
HEAVY = (
    "alembic",
    "boto3",
    "bullmq",
    "fakeredis",
    "httpx",
    "mangum",
    "redis",
    "rich",
    "shared.cache",
    "shared.emulator",
    "uvicorn",
)


def test_no_file_is_longer_than_a_person_wants_to_read() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    }

    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


@pytest.mark.parametrize("module", ["functions.app", "functions.asgi"])
def test_serving_loads_nothing_that_it_does_not_need(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())

    assert module in loaded
    assert [name for name in HEAVY if name in loaded] == []
