"""Fixtures of the flows: whatever a test starts is gone at its end."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.flows.scene import Stock


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Whatever a test leaves behind is killed."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        with suppress(ValueError):
            process.communicate()


@pytest.fixture
def stock(tmp_path: Path) -> Iterator[Stock]:
    """Processes that are there at once."""
    stock = Stock(tmp_path)
    yield stock
    stock.close()
