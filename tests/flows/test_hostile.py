"""The whole application on a platform that kills, freezes, doubles and drops; see tests/hostile.

Redis emptied in the middle of a sync: test_chain.py, on every tick.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import auth
from shared.clock import SystemClock
from shared.emulator.world import World, WorldConfig
from shared.sources.etherscan_fields import NAME_CHARS, SYMBOL_CHARS
from shared.triggers.base import Caller
from tests import truth
from tests.factories import make_asset, make_movement, save
from tests.flows.scene import until
from tests.hostile.deployment import CHAIN, SECRET, SMALL_CHAIN, Deployment, deployment
from tests.hostile.faults import HOSTILE, Odds
from tests.hostile.fleet import CHUNK
from tests.hostile.front import MARK, MOST_BYTES
from tests.hostile.journal import BUSY, Rules, work_per_processor
from tests.hostile.reader import Reader

PATIENCE_S = 240.0
SEEDS = (1,)
FEW_RUNS = {"MAX_RUNS": "2"}
SMALL_PAGES = {"SOURCE__ETHERSCAN__PAGE_ROWS": "100"}


def make_world(seed: int, *, movements: int, small: int, blocks: int) -> World:
    """One wallet with a long history, and many with a short one on another chain."""
    config = WorldConfig(
        chains=(CHAIN, SMALL_CHAIN), wallets=1 + small, movements=movements, blocks=blocks
    )
    return World(seed, config)


def scaled(limit_s: float) -> float:
    """A limit for this machine as busy as it is now; itself where there is nothing else to do."""
    return limit_s * max(1.0, work_per_processor())


def judge(site: Deployment, killed: list[str]) -> None:
    """Nobody was killed: on a quiet platform only the limit does that."""
    if killed and (busiest := site.platform.journal.busiest) > BUSY:
        pytest.skip(f"all is true, but for a limit the machine is too busy: {busiest:.1f}")
    assert not killed


@pytest.fixture
def small_site(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[Deployment]:
    """A quiet one, whose first wallet's history is short as well."""
    world = make_world(5, movements=20, small=0, blocks=20)
    rules = Rules(limit_s=10.0, cron_s=5.0, cron_secret=SECRET)
    with deployment(world, postgres_url, redis_url, tmp_path, seed=5, rules=rules) as site:
        yield site


@pytest.mark.slow
def test_a_long_history_fits_into_invocations_of_five_seconds(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    world = make_world(31, movements=200_000, small=50, blocks=1_500)
    rules = Rules(limit_s=scaled(5.0), cron_s=10.0, cron_secret=SECRET)
    with deployment(
        world, postgres_url, redis_url, tmp_path, seed=31, rules=rules, env=FEW_RUNS
    ) as site:
        for wallet in world.wallets:
            site.follow(wallet)
        site.wait_until_done(PATIENCE_S)

        site.assert_true()
        journal = site.platform.journal
        assert len(journal.of(f"POST {CHUNK}")) > 3
        judge(site, journal.killed())
        assert not journal.refused


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_platform_at_its_worst_costs_time_and_nothing_else(
    postgres_url: str, redis_url: str, tmp_path: Path, seed: int
) -> None:
    world = make_world(seed, movements=12_000, small=8, blocks=600)
    rules = Rules(limit_s=5.0, cron_s=1.5, cron_secret=SECRET)
    with deployment(
        world,
        postgres_url,
        redis_url,
        tmp_path,
        seed=seed,
        rules=rules,
        odds=HOSTILE,
        env={"LEASE_S": "4"},
    ) as site:
        first, *others = world.wallets
        with Reader(site, site.follow(first)) as reader:
            for wallet in others:
                site.follow(wallet)
            site.wait_until_done(PATIENCE_S)
        site.calm_down()

        site.assert_true()
        reader.reads_all()
        assert reader.walks


def test_an_answer_that_comes_too_late_for_its_caller_costs_nobody_his_process(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    world = make_world(4, movements=6_000, small=1, blocks=200)
    limit_s = scaled(4.0)
    # As cold starts do it: whoever calls for the next run has no time left to see it accepted.
    slow = Odds(delay=1.0, delay_s=2 * limit_s)
    rules = Rules(limit_s=limit_s, cron_s=3.0, cron_secret=SECRET)
    with deployment(
        world, postgres_url, redis_url, tmp_path, seed=4, rules=rules, odds=slow, env=SMALL_PAGES
    ) as site:
        for wallet in world.wallets:
            site.follow(wallet)
        site.wait_until_done(PATIENCE_S)

        site.assert_true()
        chunks = site.platform.journal.of(f"POST {CHUNK}")
        judge(site, [each.killed for each in chunks if each.killed])


def test_a_run_that_fails_once_its_call_is_answered_is_a_line_in_the_log(
    small_site: Deployment,
) -> None:
    small_site.upstash.faults.add("denied", times=None)
    caller = Caller(SystemClock(), auth.chunk_key(SECRET), small_site.platform.url, CHUNK)
    call = caller.run_call()

    answer = small_site.client.post(CHUNK, content=call.body, headers=call.headers)

    assert answer.status_code == 202
    [invocation] = small_site.platform.journal.of(f"POST {CHUNK}")
    until(lambda: invocation.ended_at is not None)
    assert invocation.killed is None
    said = small_site.platform.stderr.read_text()
    assert "run not finished: " in said
    assert "Traceback" not in said


def test_bodies_that_are_too_large_are_refused_by_us_before_the_platform_does(
    small_site: Deployment,
) -> None:
    for size in (100_000, MOST_BYTES - 100):
        answer = small_site.client.post("/api/wallets", json={"address": "x" * size})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.headers["content-type"] == "application/problem+json"
        assert MARK not in answer.headers

    answer = small_site.client.post("/api/wallets", json={"address": "x" * MOST_BYTES})
    assert answer.headers[MARK] == "FUNCTION_PAYLOAD_TOO_LARGE"


def test_the_longest_page_of_a_history_is_far_from_what_an_answer_may_be(
    small_site: Deployment,
) -> None:
    wallet, rows = small_site.world.wallets[0], 500
    number = small_site.follow(wallet)
    small_site.wait_until_done(PATIENCE_S)
    [stream_id] = [
        row.id for row in truth.streams(small_site.engine, wallet, CHAIN) if row.kind == "erc1155"
    ]
    longest = "\N{FLAG IN HOLE}" * max(SYMBOL_CHARS, NAME_CHARS)  # four bytes each
    highest = 2**256 - 1
    assets = save(
        small_site.engine,
        *(
            make_asset(
                contract=token.to_bytes(20, "big"),
                token_id=highest,
                symbol=longest[:SYMBOL_CHARS],
                name=longest[:NAME_CHARS],
                standard="erc1155",
            )
            for token in range(rows)
        ),
    )
    movements = (
        make_movement(stream_id=stream_id, block=10**9, asset_id=asset.id, amount=-highest)
        for asset in assets
    )
    save(small_site.engine, *movements)

    answer = small_site.client.get(f"/api/wallets/{number}/history", params={"limit": rows})

    items = answer.json()["items"]
    assert {item["amount_raw"] for item in items} == {str(-highest)}
    assert {len(item["symbol"]) for item in items} == {SYMBOL_CHARS}
    assert len(items) == rows
    assert rows * 500 < len(answer.content) < MOST_BYTES / 4
