import argparse
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from functions.cli import emulate
from shared.clock import Deadline, SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.faults import FAULTS, FaultPlan, fault
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.oracle import oracle_document
from shared.emulator.server import serving, variables
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.errors import SourceRateLimitedError, SourceUnavailableError
from shared.http import Http
from shared.http_client import HttpxClient
from tests.fakes import FakeClock

SEEN_BY_CLIENTS = [name for name in FAULTS if name != "slow"]
ROOT = Path(__file__).parents[3]
SCRIPT = (
    "import argparse, sys\n"
    "from functions.cli import emulate\n"
    "parser = argparse.ArgumentParser()\n"
    "emulate.configure(parser)\n"
    "sys.exit(emulate.run(parser.parse_args()))\n"
)


@contextmanager
def emulating(*args: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", SCRIPT, "etherscan", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if lines[-1] == "ready":
                break
        yield process, lines
    finally:
        process.kill()
        process.communicate()


def outcome(http: Http, url: str) -> tuple[object, ...]:
    wallet = "0x" + World(2).wallets[0].hex()
    asked = {"chainid": 1, "module": "account", "action": "txlist", "address": wallet}
    deadline = Deadline.after(SystemClock(), 30)
    try:
        answer = http.get("etherscan", url, params=asked, deadline=deadline)
    except SourceRateLimitedError as exc:
        return type(exc), exc.retry_after_s
    except SourceUnavailableError as exc:
        return (type(exc),)
    return answer.status, answer.body


def code_of(*args: str) -> int:
    parser = argparse.ArgumentParser()
    emulate.configure(parser)
    return emulate.run(parser.parse_args(["etherscan", *args]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_end(number: signal.Signals, tmp_path: Path) -> None:
    oracle = tmp_path / "oracle.json"
    args = ("--seed", "4", "--wallets", "2", "--movements", "500", "--blocks", "30")

    with emulating(*args, "--chain", "10", "--oracle", str(oracle)) as (process, lines):
        settings = dict(line.split("=", 1) for line in lines if line.startswith("SOURCE__"))
        routescan = settings["SOURCE__ROUTESCAN__BASE_URL"].replace("{chain_id}", "10")
        first = next(line for line in lines if line.startswith("# wallet"))
        asked = {"module": "account", "action": "txlist", "address": first.split()[2]}
        answer = httpx.get(routescan, params=asked).json()
        process.send_signal(number)
        process.wait(10)

    config = WorldConfig(chains=(10,), wallets=2, movements=500, blocks=30)
    assert answer["status"] == "1"
    assert first.endswith("chain 10 movements 500")
    assert lines[-1] == "ready"
    assert process.returncode == 0
    assert json.loads(oracle.read_text()) == oracle_document(World(4, config))


def test_a_port_in_use_is_one_clear_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        assert code_of("--port", str(taken.getsockname()[1])) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Choose another --port" in said


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--load", "/does/not/exist"], "/does/not/exist is not a folder"),
        (["--faults", "bad:1"], "there is no fault 'bad'"),
        (["--wallets", "0"], "--wallets"),
        (["--facts", "--oracle", "any.json"], "--oracle needs a made-up world"),
        (["--oracle", "/does/not/exist.json"], "cannot write the oracle"),
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


def test_recordings_and_facts_are_served_by_the_command(tmp_path: Path) -> None:
    wallet = "0x" + "ab" * 20
    folder = tmp_path / "etherscan" / "1" / wallet
    folder.mkdir(parents=True)
    row = {"blockNumber": "5", "hash": "0x1"}
    (folder / "txlist-0.json").write_text(json.dumps({"status": "1", "result": [row]}))

    with emulating("--load", str(tmp_path)) as (_, lines):
        url = lines[0].partition("=")[2]
        asked = {"chainid": "1", "module": "account", "action": "txlist", "address": wallet}
        loaded = httpx.get(url, params=asked).json()["result"]
    with emulating("--facts") as (_, lines):
        url = lines[0].partition("=")[2]
        asked = {"chainid": "10", "module": "proxy", "action": "eth_blockNumber"}
        head = httpx.get(url, params=asked).json()["result"]

    assert loaded == [row]
    assert int(head, 16) > 100_000_000


def test_the_server_spoils_answers_and_obeys_orders() -> None:
    plan = FaultPlan(script={1: fault("dropped"), 2: fault("truncated"), 3: fault("http_429", 9)})
    made = Emulator(WorldStore(World(2, WorldConfig(blocks=10))), plan=plan)
    asked = {"chainid": "1", "module": "proxy", "action": "eth_blockNumber"}

    with serving(made) as base, httpx.Client() as client:
        url = variables(base)[0].partition("=")[2]
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(url, params=asked)
        with pytest.raises(json.JSONDecodeError):
            client.get(url, params=asked).json()
        limited = client.get(url, params=asked)
        good = client.get(url, params=asked).json()
        grown = client.post(f"{base}/_control", json={"grow": 3}).json()
        refused = client.post(f"{base}/_control", json={"fault": "nothing"})
        broken = client.post(f"{base}/_control", content=b"[1")
        stats = client.get(f"{base}/_control").json()

    assert (limited.status_code, limited.headers["retry-after"]) == (429, "9")
    assert int(good["result"], 16) + 3 == grown["heads"]["1"] == stats["heads"]["1"]
    assert refused.status_code == broken.status_code == 400
    assert "there is no fault" in refused.json()["error"]


def test_the_product_meets_the_same_faults_with_and_without_sockets() -> None:
    def made() -> Emulator:
        script = {call: fault(name) for call, name in enumerate(SEEN_BY_CLIENTS, 1)}
        return Emulator(WorldStore(World(2)), plan=FaultPlan(script=script))

    with serving(made()) as base:
        client = HttpxClient()
        over_sockets = [outcome(client, f"{base}/v2/api?ignored=1") for _ in SEEN_BY_CLIENTS]
        client.close()
    in_process = EmulatorHttp(made(), FakeClock())

    assert over_sockets == [outcome(in_process, "http://x/v2/api") for _ in SEEN_BY_CLIENTS]
    assert len({str(seen) for seen in over_sockets}) > len(SEEN_BY_CLIENTS) // 2


def test_latency_and_slowness_delay_the_answer_without_changing_it() -> None:
    made = Emulator(WorldStore(World(2)), plan=FaultPlan(script={1: fault("slow", 0.01)}))
    asked = {"chainid": "1", "module": "proxy", "action": "eth_blockNumber"}

    with serving(made, latency_s=0.01) as base:
        answer = httpx.get(f"{base}/v2/api", params=asked).json()

    assert int(answer["result"], 16) == 160
