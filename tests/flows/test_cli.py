"""The command line as a user meets it: what it prints, where, and with which exit code."""

import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from schema.engine import make_engine
from shared.address import checksum_address
from shared.clock import SystemClock
from shared.emulator import oracle
from shared.emulator.emulator import Emulator
from shared.emulator.faults import FaultPlan
from shared.emulator.provider import ProviderOptions
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from tests import commands

KEY = "SECRETKEY0123456789ABCDEFGHIJKLMNO"
DOCUMENT = {"address", "chain_id", "streams", "chunks", "longest_chunk_s", "balances"}
STREAM = {"kind", "state", "movements", "chunks", "cursor_block", "error"}
BALANCE = {"contract", "symbol", "decimals", "token_id", "amount_raw", "gaps"}
KINDS = ["native", "internal", "erc20", "erc721", "erc1155", "withdrawal"]

Ended = subprocess.CompletedProcess[str]


class Desk(NamedTuple):
    """A user at a terminal, with a database and a provider on this machine."""

    home: Path
    world: World
    emulator: Emulator
    base: str
    url: str | None

    def env(self, **more: str) -> dict[str, str]:
        return commands.environment(self.home, url=self.url, base=self.base, **more)

    @property
    def account(self) -> str:
        return checksum_address(self.world.wallets[0])

    def subject(self) -> tuple[str, ...]:
        return (self.account, "--chain", "1")

    def run(self, *args: str, **env: str) -> Ended:
        ended = commands.run(self.env(**env), *args)
        assert KEY not in ended.stdout + ended.stderr
        return ended

    def sync(self, *args: str, **env: str) -> Ended:
        return self.run("sync", *self.subject(), "--source", "etherscan", "--json", *args, **env)

    def inserted(self) -> int:
        """Movements ever written, from the run table."""
        assert self.url is not None
        engine = make_engine(self.url, now=SystemClock().now)
        table = "run" if engine.dialect.name == "sqlite" else "tallybook.run"
        with engine.connect() as connection:
            count = connection.execute(text(f"SELECT sum(inserted) FROM {table}")).scalar_one()
        engine.dispose()
        return int(count)


@pytest.fixture
def world() -> World:
    return World(11, WorldConfig(wallets=2, movements=400, blocks=150))


@pytest.fixture
def emulator(world: World) -> Emulator:
    return Emulator(WorldStore(world))


@pytest.fixture
def desk(tmp_path: Path, world: World, emulator: Emulator) -> Iterator[Desk]:
    with serving(emulator) as base:
        yield Desk(tmp_path, world, emulator, base, f"sqlite:///{tmp_path / 'mine.db'}")


def document(ended: Ended) -> dict[str, Any]:
    """The one object on stdout; there is nothing else."""
    assert ended.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def holdings(lines: list[dict[str, Any]]) -> dict[tuple[str | None, str | None], str]:
    return {(line["contract"], line["token_id"]): line["amount_raw"] for line in lines}


def true_holdings(world: World) -> dict[tuple[str | None, str | None], str]:
    return {
        (
            None if contract is None else checksum_address(contract),
            None if token_id is None else str(token_id),
        ): str(amount)
        for (contract, token_id), amount in oracle.balances(world, world.wallets[0]).items()
    }


def assert_complete(ended: Ended, desk: Desk) -> dict[str, Any]:
    assert (ended.returncode, ended.stderr) == (0, "")
    told = document(ended)
    assert [stream["state"] for stream in told["streams"]] == ["up_to_date"] * 6
    assert holdings(told["balances"]) == true_holdings(desk.world)
    return told


def test_sync_prints_one_object_with_the_keys_that_were_promised(desk: Desk) -> None:
    told = assert_complete(desk.sync(), desk)

    assert set(told) == DOCUMENT
    assert told["address"] == desk.account.lower()
    assert told["chain_id"] == 1
    assert [set(stream) for stream in told["streams"]] == [STREAM] * 6
    assert [stream["kind"] for stream in told["streams"]] == KINDS
    assert {stream["cursor_block"] for stream in told["streams"]} == {desk.world.head()}
    assert {stream["error"] for stream in told["streams"]} == {None}
    true = oracle.movements(desk.world, desk.world.wallets[0])
    counts = Counter(move.stream for move in true.elements())
    assert {stream["kind"]: stream["movements"] for stream in told["streams"]} == {
        kind: counts[kind] for kind in KINDS
    }
    assert told["chunks"] == sum(stream["chunks"] for stream in told["streams"])
    assert all(set(line) == BALANCE for line in told["balances"])
    assert all(int(line["amount_raw"]) for line in told["balances"])
    assert 0 <= told["longest_chunk_s"] < 10


def test_all_commands_agree_with_the_sync(desk: Desk) -> None:
    told = assert_complete(desk.sync(), desk)

    shown = document(desk.run("balances", *desk.subject(), "--json"))
    assert holdings(shown) == holdings(told["balances"])  # type: ignore[arg-type]

    listed = desk.run("history", *desk.subject(), "--json", "--limit", "100000")
    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    assert len(lines) == sum(stream["movements"] for stream in told["streams"])
    assert [line["block"] for line in lines] == sorted((x["block"] for x in lines), reverse=True)
    sums: defaultdict[tuple[str | None, str | None], int] = defaultdict(int)
    for line in lines:
        sums[line["contract"], line["token_id"]] += int(line["amount_raw"])
    assert {key: str(held) for key, held in sums.items() if held} == holdings(told["balances"])
    few = desk.run("history", *desk.subject(), "--json", "--limit", "7")
    assert [json.loads(line) for line in few.stdout.splitlines()] == lines[:7]

    checked = desk.run("verify", "--json")
    report = document(checked)
    assert (checked.returncode, report["agrees"]) == (0, True)
    assert (report["streams"], report["movements"]) == (6, len(lines))


def test_people_get_tables_on_stdout_and_nothing_on_stderr(desk: Desk) -> None:
    synced = desk.run("sync", *desk.subject(), "--source", "etherscan")
    verified = desk.run("verify")

    for ended in (synced, verified):
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout
    assert "up_to_date" in synced.stdout
    assert "all agree" in verified.stdout


def test_a_second_sync_adds_only_what_is_new(desk: Desk) -> None:
    assert_complete(desk.sync(), desk)
    before = desk.inserted()
    desk.world.grow(20)

    told = assert_complete(desk.sync(), desk)

    assert {stream["cursor_block"] for stream in told["streams"]} == {desk.world.head()}
    true = oracle.movements(desk.world, desk.world.wallets[0])
    assert before < desk.inserted() == true.total()


def test_a_sync_in_small_boxes_takes_more_chunks_to_the_same_end(desk: Desk) -> None:
    told = assert_complete(
        desk.sync("--budget", "0.2", SOURCE__ETHERSCAN__PAGE_ROWS="20", RESERVE_S="0.1"), desk
    )

    assert told["chunks"] >= 6


def test_a_box_smaller_than_the_usual_reserve_gets_there_too(desk: Desk) -> None:
    assert_complete(desk.sync("--budget", "0.3", "--give-up", "20"), desk)


def test_what_cannot_be_used_is_refused_with_exit_code_2_and_a_way_out(desk: Desk) -> None:
    account = desk.account
    at = next(number for number, letter in enumerate(account[2:], 2) if letter.isalpha())
    twisted = account[:at] + account[at].swapcase() + account[at + 1 :]
    chain = ("--chain", "1")
    cases: dict[tuple[str, ...], str] = {
        ("sync", "0x1234", *chain): "40 digits",
        ("sync", twisted, *chain): "checksum",
        ("sync", account, "--chain", "999999"): "Choose one of",
        ("sync", account, "--chain", "1", "--source", "nobody"): "Choose one of",
        ("sync", account, *chain, "--budget", "0"): "above zero",
        ("nonsense",): "nonsense",
    }
    processes = {args: commands.start(desk.env(), *args) for args in cases}
    told = {args: process.communicate() for args, process in processes.items()}
    for args, (out, err) in told.items():
        assert (processes[args].returncode, out) == (2, ""), (args, out, err)
        assert cases[args] in err, (args, err)
        assert "Traceback" not in err


def test_an_address_that_was_never_synced_is_not_an_empty_one(desk: Desk) -> None:
    ended = desk.run("balances", *desk.subject(), "--json")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"tallybook sync {desk.account} --chain 1" in ended.stderr


def test_another_source_than_the_one_that_began_is_refused(desk: Desk) -> None:
    assert_complete(desk.sync(), desk)

    ended = desk.run("sync", *desk.subject(), "--source", "routescan", "--json")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "etherscan" in ended.stderr


def test_a_provider_that_always_fails_is_given_up_and_never_called_complete(desk: Desk) -> None:
    desk.emulator.plan = FaultPlan(odds={"http_500": 1.0})

    ended = desk.sync("--give-up", "2")

    assert (ended.returncode, ended.stderr) == (1, "")
    told = document(ended)
    assert {stream["state"] for stream in told["streams"]} == {"snoozed"}
    assert {stream["error"]["code"] for stream in told["streams"]} == {"source_unavailable"}
    assert {stream["movements"] for stream in told["streams"]} == {0}
    assert told["balances"] == []


@pytest.mark.parametrize("given", [KEY, None])
def test_a_refused_key_stops_the_streams_and_names_the_variable(
    desk: Desk, given: str | None
) -> None:
    desk.emulator.provider.options = ProviderOptions(key="ANOTHERKEY")
    env = {} if given is None else {"SOURCE__ETHERSCAN__API_KEY": given}

    ended = desk.sync(**env)

    assert ended.returncode == 1
    told = document(ended)
    assert {stream["state"] for stream in told["streams"]} == {"stopped"}
    errors = [stream["error"] for stream in told["streams"]]
    assert {error["code"] for error in errors} == {"source_denied"}
    assert all("SOURCE__ETHERSCAN__API_KEY" in error["fix"] for error in errors)


def test_a_key_that_works_is_in_no_output_whatever_goes_wrong(desk: Desk) -> None:
    desk.emulator.provider.options = ProviderOptions(key=KEY)
    env = {"SOURCE__ETHERSCAN__API_KEY": KEY, "LOG_LEVEL": "DEBUG"}
    odds = dict.fromkeys(("http_500", "dropped", "truncated", "error_text", "html_200"), 0.1)
    desk.emulator.plan = FaultPlan(seed=3, odds=odds, until_call=12)

    ended = desk.sync(**env)
    desk.run("balances", *desk.subject(), **env)

    assert ended.returncode == 0
    assert holdings(document(ended)["balances"]) == true_holdings(desk.world)


def test_without_a_database_url_the_users_data_folder_is_used(desk: Desk) -> None:
    ended = desk._replace(url=None).sync()

    assert_complete(ended, desk)
    assert (desk.home / "data" / "tallybook" / "tallybook.db").is_file()


def test_a_database_that_cannot_be_used_is_named_without_its_password(desk: Desk) -> None:
    odd = desk._replace(url="mysql://me:hunter2@host/db").sync()
    away = desk._replace(url="postgresql://me:hunter2@127.0.0.1:1/db").sync()

    for ended, code in ((odd, 2), (away, 1)):
        assert (ended.returncode, ended.stdout) == (code, "")
        assert "DATABASE_URL" in ended.stderr
        assert "hunter2" not in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_server_database_waits_for_its_init(desk: Desk, empty_postgres_url: str) -> None:
    server = desk._replace(url=empty_postgres_url)

    early = server.sync()
    assert (early.returncode, early.stdout) == (2, "")
    assert "tallybook init" in early.stderr

    for _ in range(2):
        assert server.run("init").returncode == 0
    told = assert_complete(server.sync(), server)
    shown = document(server.run("balances", *server.subject(), "--json"))
    assert holdings(shown) == holdings(told["balances"])  # type: ignore[arg-type]
    assert document(server.run("verify", "--json"))["agrees"] is True
