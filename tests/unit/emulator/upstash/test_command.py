"""``tallybook emulate upstash`` as a user meets it."""

import argparse
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from functions.cli import emulate
from tests.commands import environment, start


def code_of(*args: str) -> int:
    parser = argparse.ArgumentParser()
    emulate.configure(parser)
    return emulate.run(parser.parse_args(["upstash", *args]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_two_variables_and_serves_until_told_to_end(
    number: signal.Signals, tmp_path: Path, redis_url: str
) -> None:
    over = [] if number == signal.SIGINT else ["--redis-url", redis_url]
    process = start(environment(tmp_path), "emulate", "upstash", "--token", "t", *over)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip() for _ in range(4)]
        found = dict(line.split("=", 1) for line in lines[:2])
        headers = {"Authorization": f"Bearer {found['UPSTASH_REDIS_REST_TOKEN']}"}
        answer = httpx.get(f"{found['UPSTASH_REDIS_REST_URL']}/ping", headers=headers)
        process.send_signal(number)
        _, complaint = process.communicate(timeout=20)
    finally:
        process.kill()

    assert answer.json() == {"result": "PONG"}
    assert lines[2].startswith("# over redis://127.0.0.1" if over else "# over fakeredis")
    assert lines[3] == "ready"
    assert (process.returncode, complaint) == (0, "")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--token", ""], "a token must not be empty"),
        (["--read-only-token", ""], "a token must not be empty"),
        (["--token", "a", "--read-only-token", "a"], "must differ"),
        (["--redis-url", "redis://127.0.0.1:1"], "cannot reach redis://127.0.0.1:1 db 0"),
        (["--redis-url", "unix:///does/not/exist"], "cannot reach unix:///does/not/exist"),
        (["--redis-url", "http://127.0.0.1"], "--redis-url wants redis://"),
        (["--redis-url", "redis://127.0.0.1:x"], "no usable port"),
        (["--port", "99999"], "cannot listen"),
    ],
)
def test_bad_usage_is_one_clear_line_and_exit_2(
    args: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(*args) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert text in said


def test_a_port_in_use_is_one_clear_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        assert code_of("--port", str(taken.getsockname()[1])) == 2

    assert "Choose another --port" in capsys.readouterr().err


def test_a_redis_that_wants_a_password_is_named_without_it(
    redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("--redis-url", redis_url.replace("://", "://somebody:s3cret@")) == 2

    said = capsys.readouterr().err
    assert "WRONGPASS" in said
    assert "s3cret" not in said


def test_without_fakeredis_the_command_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fakeredis", None)

    assert code_of() == 2
    assert "tallybook[emulator]" in capsys.readouterr().err
