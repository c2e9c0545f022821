"""Any history of calls: the table queue answers as the memory queue does."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, text

from schema.engine import make_engine
from schema.tables import SyncJob
from shared.queue.base import Bury, Claim, Done, Outcome, Push, Retry, WakeUp
from shared.queue.memory import MemoryQueue
from shared.queue.table import TableQueue
from shared.seams import SqlUnit
from tests.fakes import FakeClock

# Postgres' own clock runs on between two calls: every time here is far more than that.
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

    def __init__(self, engine: Engine, clock: FakeClock) -> None:
        super().__init__()
        self.engine = engine
        self.clock = clock
        self.model = MemoryQueue(clock)
        self.table = TableQueue(SqlUnit(engine))
        self.table.purge()
        self.held: list[tuple[Claim, Claim]] = []

    @rule(pushes=st.lists(PUSHES, max_size=4))
    def push(self, pushes: list[Push]) -> None:
        self.clock.advance(TICK_S)
        self.model.push_many(pushes)
        self.table.push_many(pushes)

    @rule(lease_s=LEASES)
    def claim(self, lease_s: float) -> None:
        self.clock.advance(TICK_S)
        self.compare(self.model.claim(lease_s), self.table.claim(lease_s))

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
        model_claim, table_claim = data.draw(st.sampled_from(self.held))
        self.clock.advance(TICK_S)
        self.compare(
            self.model.finish(model_claim, outcome, then=then, claim_next_s=next_s),
            self.table.finish(table_claim, outcome, then=then, claim_next_s=next_s),
        )

    @rule(seconds=st.sampled_from([50.0, 100.0, 150.0]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self.engine.dialect.name == "postgresql":
            back = text(
                "UPDATE tallybook.sync_job SET ready_at = ready_at - make_interval(secs => :s),"
                " again_at = again_at - make_interval(secs => :s)"
            )
            with self.engine.begin() as connection:
                connection.execute(back, {"s": seconds})

    def compare(self, expected: Claim | None, found: Claim | None) -> None:
        if expected is None or found is None:
            assert found is expected
            return
        assert (found.wake_up, found.claims) == (expected.wake_up, expected.claims)
        self.held.append((expected, found))

    @invariant()
    def counts_and_dead_letters_agree(self) -> None:
        assert self.table.stats() == self.model.stats()
        assert self.table.dead_letters() == self.model.dead_letters()


def run(engine: Engine, clock: FakeClock, examples: int) -> None:
    wanted: Any = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    machine: Any = lambda: QueueMachine(engine, clock)  # noqa: E731 - a class by hypothesis' hints
    run_state_machine_as_test(machine, settings=wanted)


def test_sqlite_table_is_the_model() -> None:
    clock = FakeClock()
    engine = make_engine("sqlite://", now=clock.now)
    with engine.begin() as connection:
        SyncJob.metadata.tables["tallybook.sync_job"].create(connection)

    run(engine, clock, examples=120)
    engine.dispose()


@pytest.mark.parametrize("examples", [25])
def test_postgres_table_is_the_model(postgres_url: str, examples: int) -> None:
    clock = FakeClock()
    engine = make_engine(postgres_url, now=clock.now)

    run(engine, clock, examples)
    engine.dispose()
