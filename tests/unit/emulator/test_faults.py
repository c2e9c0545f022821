import json
from collections import Counter
from typing import Any

import pytest

from shared.clock import Deadline
from shared.emulator.emulator import Emulator
from shared.emulator.faults import FAULTS, FaultPlan, fault, odds_of
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.provider import Reply
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.errors import (
    ConfigError,
    DeadlineExceededError,
    SourceRateLimitedError,
    SourceUnavailableError,
)
from tests.fakes import FakeClock

PATH = "/etherscan/v2/api"


def emulator(plan: FaultPlan | None = None) -> Emulator:
    return Emulator(WorldStore(World(31, WorldConfig(blocks=120, busy=1.0))), plan=plan)


def world_of(made: Emulator) -> World:
    store = made.provider.store
    assert isinstance(store, WorldStore)
    return store.world


def ask(made: Emulator, action: str = "txlist", **asked: str) -> Reply:
    wallet = "0x" + world_of(made).wallets[0].hex()
    params = {"chainid": "1", "module": "account", "action": action, "address": wallet}
    return made.answer(PATH, params | asked, 0.0)


def rows(reply: Reply) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(reply.body)["result"]
    return found


def spoiled(name: str, amount: float | None = None, **asked: str) -> Reply:
    return ask(emulator(FaultPlan(script={1: fault(name, amount)})), **asked)


def test_each_http_fault_has_its_status_and_headers() -> None:
    assert spoiled("http_429", 7).headers["retry-after"] == "7"
    assert [spoiled(name).status for name in ("http_429", "http_500", "http_502", "html_200")] == [
        429,
        500,
        502,
        200,
    ]
    assert spoiled("html_200").body.startswith(b"<!DOCTYPE html>")
    assert spoiled("slow", 3).delay_s == 3
    assert spoiled("dropped").dropped


def test_a_truncated_body_is_no_json() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(spoiled("truncated").body)


def test_errors_that_look_like_empty_histories() -> None:
    assert json.loads(spoiled("error_list").body) == {
        "status": "0",
        "message": "NOTOK",
        "result": [],
    }
    assert isinstance(json.loads(spoiled("error_text").body)["result"], str)
    assert "rate limit" in json.loads(spoiled("rate_text").body)["result"]
    assert json.loads(spoiled("null_result").body)["result"] is None


def test_status_2_comes_with_a_part_of_the_rows() -> None:
    whole, part = ask(emulator()), spoiled("status_2")

    assert json.loads(part.body)["status"] == "2"
    assert 0 < len(rows(part)) < len(rows(whole))


def test_a_short_page_says_nothing_of_what_it_leaves_out() -> None:
    whole, part = rows(ask(emulator())), rows(spoiled("short_page", 0.25))

    assert part == whole[: len(whole) // 4]


def test_a_shuffled_page_holds_the_same_rows_transaction_by_transaction() -> None:
    whole = rows(ask(emulator(), "tokentx"))
    mixed = rows(spoiled("shuffled", action="tokentx"))

    assert mixed != whole
    assert [row["hash"] for row in mixed] == [row["hash"] for row in whole]
    assert Counter(map(str, mixed)) == Counter(map(str, whole))


def test_a_late_transaction_is_hidden_until_blocks_lie_above_it() -> None:
    made = emulator(FaultPlan(script={1: fault("late", 30)}))
    whole = {row["hash"] for row in rows(ask(emulator()))}

    first = {row["hash"] for row in rows(ask(made))}
    second = {row["hash"] for row in rows(ask(made))}
    world_of(made).grow(30)
    third = {row["hash"] for row in rows(ask(made))}

    assert len(whole - first) == 1
    assert second == first
    assert whole <= third


def test_a_late_transaction_can_be_hidden_for_so_many_calls() -> None:
    plan = FaultPlan(script={1: fault("late_calls", 2)})
    made = Emulator(WorldStore(World(8, WorldConfig(blocks=20, busy=1.0, wallets=1))), plan=plan)

    seen = [len(rows(ask(made))) for _ in range(3)]

    assert seen[0] == seen[1] < seen[2]


def test_a_stopped_plan_hides_nothing_any_more() -> None:
    made = emulator(FaultPlan(script={1: fault("late", 1000)}, odds={"http_500": 1.0}))
    whole = len(rows(ask(emulator())))
    ask(made)

    made.plan.stop()

    assert len(rows(ask(made))) == whole


def test_the_chain_can_grow_or_reorganise_just_before_an_answer() -> None:
    made = emulator(FaultPlan(script={1: fault("grow", 5), 2: fault("reorg", 3)}))
    head, kept = world_of(made).head(), world_of(made).block_hash(world_of(made).head())

    ask(made)
    assert world_of(made).head() == head + 5
    ask(made)
    assert world_of(made).head() == head + 5
    assert world_of(made).block_hash(head) == kept


def test_odds_are_seeded_and_sleep_after_the_given_call() -> None:
    odds = {"http_500": 0.3, "slow": 0.3}
    drawn = [
        [FaultPlan(seed=4, odds=odds, until_call=50).draw(call) for call in range(1, 101)]
        for _ in range(2)
    ]
    plan = FaultPlan(seed=4, odds=odds, until_call=50)
    names = [one.name for call in range(1, 101) if (one := plan.draw(call))]

    assert drawn[0] == drawn[1]
    assert 15 < len(names) < 45
    assert set(names) == {"http_500", "slow"}


def test_every_fault_can_meet_every_call_without_breaking_the_emulator() -> None:
    for name in FAULTS:
        made = emulator(FaultPlan(odds={name: 1.0}))
        for asked in ({}, {"module": "proxy", "action": "eth_blockNumber"}, {"chainid": "9"}):
            ask(made, **{"action": "txlist"} | asked)
        made.answer("/nothing", {}, 0.0)


def test_orders_over_the_control_path() -> None:
    made = emulator()
    head = world_of(made).head()

    made.control({"fault": "http_500", "times": 2})
    statuses = [ask(made).status for _ in range(3)]
    stats = made.control({"grow": 4})

    assert statuses == [500, 500, 200]
    assert stats["heads"] == {"1": head + 4}
    assert stats["actions"] == {"txlist": 3}
    assert stats["faults"] == {"http_500": 2}
    made.control({"reorg": 2, "chain": 1})
    assert world_of(made).head() == head + 4
    made.control({"fault": "http_500"})
    made.control({"clear": True})
    assert ask(made).status == 200


@pytest.mark.parametrize("order", [{}, {"fault": "nothing"}, {"grows": 1}])
def test_an_order_that_means_nothing_is_refused(order: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        emulator().control(order)


def test_odds_are_read_from_the_command_line() -> None:
    assert odds_of("http_429:0.2, slow") == {"http_429": 0.2, "slow": 0.1}
    assert odds_of("") == {}
    with pytest.raises(ConfigError, match="there is no fault"):
        odds_of("bad:1")
    with pytest.raises(ConfigError, match="PROBABILITY"):
        odds_of("slow:often")


def test_in_process_http_answers_like_the_real_client() -> None:
    script = {
        2: fault("http_429", 4),
        3: fault("dropped"),
        4: fault("slow", 60),
        5: fault("http_500"),
    }
    clock = FakeClock()
    http = EmulatorHttp(emulator(FaultPlan(script=script)), clock, latency_s=0.25)
    url = "http://emulator" + PATH
    params = {"chainid": "1", "module": "proxy", "action": "eth_blockNumber"}

    def get(max_bytes: int = 10_000) -> Any:
        deadline = Deadline.after(clock, 5)
        return http.get("etherscan", url, params=params, deadline=deadline, max_bytes=max_bytes)

    assert b"0x" in get().body
    assert clock.monotonic() == 0.25
    with pytest.raises(SourceRateLimitedError) as limited:
        get()
    assert limited.value.retry_after_s == 4
    with pytest.raises(SourceUnavailableError):
        get()
    before = clock.monotonic()
    with pytest.raises(SourceUnavailableError, match="within"):
        get()
    assert clock.monotonic() == before + 5
    assert get().status == 500
    with pytest.raises(SourceUnavailableError, match="more than 3 bytes"):
        get(max_bytes=3)
    with pytest.raises(DeadlineExceededError):
        http.get("etherscan", url, params=params, deadline=Deadline.after(clock, 0))
