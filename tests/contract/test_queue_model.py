"""Any history of calls: every queue answers as the memory queue does."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.queue.base import Bury, Claim, Done, Outcome, Push, Retry, WakeUp
from shared.queue.memory import MemoryQueue
from tests.contract.conftest import Harness
from tests.fakes import FakeClock

# A server's own clock runs on between two calls: every time here is far more than that.
DELAYS = st.sampled_from([0.0, 50.0, 100.0, 200.0])
WAKE_UPS = st.builds(WakeUp, st.integers(1, 3), st.booleans())
PUSHES = st.builds(Push, WAKE_UPS, DELAYS)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.just(Done()), st.builds(Retry, DELAYS), st.builds(Bury, st.sampled_from(["", "why"]))
)
LEASES = st.sampled_from([50.0, 150.0])
TICK_S = 0.001


class QueueMachine(RuleBasedStateMachine):
    """Calls both queues and compares what they say."""

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        self.harness = harness
        self.clock = FakeClock()
        self.model = MemoryQueue(self.clock)
        self.queue = harness.queue
        self.queue.purge()
        self.held: list[tuple[Claim, Claim]] = []

    @rule(pushes=st.lists(PUSHES, max_size=4))
    def push(self, pushes: list[Push]) -> None:
        self.tick()
        self.model.push_many(pushes)
        self.queue.push_many(pushes)

    @rule(lease_s=LEASES)
    def claim(self, lease_s: float) -> None:
        self.tick()
        self.compare(self.model.claim(lease_s), self.queue.claim(lease_s))

    @rule(
        data=st.data(),
        outcome=OUTCOMES,
        then=st.lists(PUSHES, max_size=3),
        next_s=st.none() | LEASES,
    )
    def finish(
        self, data: st.DataObject, outcome: Outcome, then: list[Push], next_s: float | None
    ) -> None:
        if not self.held:
            return
        model_claim, other_claim = data.draw(st.sampled_from(self.held))
        self.tick()
        self.compare(
            self.model.finish(model_claim, outcome, then=then, claim_next_s=next_s),
            self.queue.finish(other_claim, outcome, then=then, claim_next_s=next_s),
        )

    @rule(seconds=st.sampled_from([50.0, 100.0, 150.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.harness.advance(seconds)

    def tick(self) -> None:
        """Two calls never happen at one moment."""
        self.clock.advance(TICK_S)
        if self.harness.stands_still:
            self.harness.advance(TICK_S)

    def compare(self, expected: Claim | None, found: Claim | None) -> None:
        if expected is None or found is None:
            assert found is expected
            return
        assert (found.wake_up, found.claims) == (expected.wake_up, expected.claims)
        self.held.append((expected, found))

    @invariant()
    def counts_and_dead_letters_agree(self) -> None:
        assert self.queue.stats() == self.model.stats()
        assert self.queue.dead_letters() == self.model.dead_letters()


@pytest.mark.parametrize(
    ("name", "examples"), [("sqlite_queue", 100), ("postgres_queue", 25), ("upstash_queue", 20)]
)
def test_the_queue_is_the_model(request: pytest.FixtureRequest, name: str, examples: int) -> None:
    harness: Harness = request.getfixturevalue(name)
    wanted: Any = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    machine: Any = lambda: QueueMachine(harness)  # noqa: E731 - a class by hypothesis' hints
    run_state_machine_as_test(machine, settings=wanted)
