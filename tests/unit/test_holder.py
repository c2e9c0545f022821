"""A holder is called dead only when it is known to be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared import holder

SLEEPER = "import sys; sys.stdin.read()"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without /proc, as macOS is."""
    monkeypatch.setattr(holder, "PROC", tmp_path)
    return tmp_path


def of(process_id: int) -> str:
    start = holder._start_of(process_id)
    return f"{holder._place()}/{process_id}/{start}"


def test_this_process_is_alive_and_always_says_the_same() -> None:
    assert holder.current() == holder.current() == of(os.getpid())
    assert not holder.is_dead(holder.current())


def test_a_process_is_dead_once_it_has_ended_even_if_nobody_has_looked_after_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE)  # noqa: S603
    name = of(process.pid)
    assert not holder.is_dead(name)

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert holder.is_dead(name), "a zombie runs no more"
    process.communicate()

    assert holder.is_dead(name)


def test_a_process_that_has_the_number_of_a_dead_one_is_another() -> None:
    place, process_id, start = holder.current().rsplit("/", 2)

    assert holder.is_dead(f"{place}/{process_id}/{int(start) - 1}")


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "worker-7",
        "unknown/0123456789abcdef",
        "other-boot/pid:[1]/123/456",
        "a/b/c",
    ],
)
def test_who_cannot_be_looked_for_is_not_called_dead(name: str | None) -> None:
    assert not holder.is_dead(name)


def test_a_name_of_this_machine_without_a_number_is_not_called_dead() -> None:
    assert not holder.is_dead(f"{holder._place()}/not-a-number/1")


@pytest.mark.usefixtures("elsewhere")
def test_a_machine_that_cannot_tell_gives_names_that_nobody_calls_dead() -> None:
    first, second = holder.current(), holder.current()

    assert first != second
    assert first.startswith("unknown/")
    assert not holder.is_dead(first)


def test_a_process_table_that_cannot_be_read_is_no_process(elsewhere: Path) -> None:
    (elsewhere / "7").mkdir()
    (elsewhere / "7" / "stat").write_text("nonsense")

    assert holder._start_of(7) is None
