"""With one trigger only, whichever it is, a sync completes: those that test_chain.py leaves out.

There: ``self``, ``postgres`` and ``qstash``, and the cron's tick with its queue in Redis.
"""

import json
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from schema.engine import make_engine
from shared.clock import SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.ops.verify import verify
from tests import commands, truth
from tests.api.test_lambda import request
from tests.flows.test_chain import CHAIN, MOVEMENTS, PATIENCE_S, SECRET, deployed, free_port
from tests.hostile.aws import Function, Queue, function, queue

LIMITS_S = (0.4, 2.0)  # in turn: no time for any message of a batch, and time for some
TOKEN = "token-of-the-owner"
NO_MORE = {"RUN_TRIGGER": "none"}


@pytest.fixture(scope="module")
def world() -> World:
    return World(22, WorldConfig(wallets=1, movements=MOVEMENTS, blocks=300))


def test_ticks_of_a_cron_alone_complete_a_sync(
    world: World, postgres_url: str, tmp_path: Path
) -> None:
    with deployed(world, postgres_url, tmp_path, free_port(), **NO_MORE) as site:
        bearer = {"authorization": f"Bearer {SECRET}"}

        def tick() -> None:
            assert site.client.get("/api/internal/tick", headers=bearer, timeout=30).is_success

        site.complete(site.watch(), tick)
        assert site.runs() > 3


def test_steps_of_a_client_alone_complete_a_sync(
    world: World, postgres_url: str, tmp_path: Path
) -> None:
    with deployed(world, postgres_url, tmp_path, free_port(), **NO_MORE) as site:
        wallet_id = site.watch()

        def step() -> None:
            path = f"/api/wallets/{wallet_id}/sync/step"
            assert site.client.post(path, timeout=30).is_success

        site.complete(wallet_id, step)
        assert site.runs() > 3


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
def test_messages_of_sqs_alone_complete_a_sync(
    world: World, postgres_url: str, tmp_path: Path, *, fifo: bool
) -> None:
    with queue(fifo=fifo) as sqs, serving(Emulator(WorldStore(world)), latency_s=0.05) as base:
        env = commands.environment(
            tmp_path,
            url=postgres_url,
            base=base,
            RUN_TRIGGER="sqs",
            API_TOKEN=TOKEN,
            CRON_SECRET=SECRET,
            SOURCE__ETHERSCAN__PAGE_ROWS="100",
            **sqs.env,
        )
        with function(env, tmp_path) as found:
            account = truth.hexed(world.wallets[0])
            body = {"address": account, "chains": [CHAIN], "source": "etherscan"}
            added = found.invoke(request("POST", "/api/wallets", body), limit_s=20.0)
            assert added["statusCode"] == 201, added
            wallet_id = json.loads(added["body"])["id"]

            came_back = _polled_until_done(sqs, found, wallet_id)
    engine = make_engine(postgres_url, now=SystemClock().now)
    truth.assert_ledger_is_true(engine, world, world.wallets[0], CHAIN)
    assert verify(engine).agrees
    engine.dispose()
    assert came_back


def _polled_until_done(sqs: Queue, found: Function, wallet_id: int) -> int:
    """Have Lambda's poller at work until the wallet is; how many messages came back."""
    give_up = time.monotonic() + PATIENCE_S
    came_back = 0
    limits_s = cycle(LIMITS_S)
    while _state(found, wallet_id) != "up_to_date":
        assert time.monotonic() < give_up, found.stderr.read_text()
        records = sqs.batch()
        if records:
            answer: Any = found.invoke({"Records": records}, limit_s=next(limits_s))
            assert "errorType" not in answer, answer
            came_back += len(sqs.settle(records, answer))
    return came_back


def _state(found: Function, wallet_id: int) -> str:
    answer = found.invoke(request("GET", f"/api/wallets/{wallet_id}/sync"), limit_s=20.0)
    state: str = json.loads(answer["body"])["state"]
    return state
