"""Any history of calls: BullMQ's queue answers as a small model of a push-style queue does."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.queue.base import (
    Bury,
    Claim,
    DeadLetter,
    Done,
    Outcome,
    Push,
    QueueStats,
    Retry,
    WakeUp,
)
from shared.queue.bullmq import MOST_STALLS
from tests.contract.conftest import Harness

STALLED = "job stalled more than allowable limit"
DELAYS = st.sampled_from([0.0, 0.0, 0.0, 50.0])
PUSHES = st.builds(Push, st.builds(WakeUp, st.integers(1, 4), st.booleans()), DELAYS)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.just(Done()), st.builds(Retry, DELAYS), st.builds(Bury, st.sampled_from(["", "why"]))
)
LEASES = st.sampled_from([50.0, 150.0])
ALL = 10_000


@dataclass
class Work:
    """A job: waiting, or at work until its lease ends."""

    stream_id: int
    urgent: bool
    stalls: int = 0
    until: float = 0.0

    @property
    def fails(self) -> bool:
        return self.stalls > MOST_STALLS


@dataclass
class Model:
    """At most one job of a stream waits or is at work, with at most one more kept."""

    now: float = 0.0
    front: list[list[Work]] = field(default_factory=list)  # what the dead left: each lot unordered
    urgent: list[Work] = field(default_factory=list)
    background: list[Work] = field(default_factory=list)
    active: dict[int, Work] = field(default_factory=dict)
    kept: dict[int, bool] = field(default_factory=dict)
    letters: Counter[DeadLetter] = field(default_factory=Counter)

    def waiting(self) -> list[Work]:
        return [work for lot in self.front for work in lot] + self.urgent + self.background

    def push(self, push: Push) -> None:
        stream_id, urgent = push.wake_up
        if push.delay_s > 0:
            return
        if stream_id in self.active:
            self.kept[stream_id] = urgent or self.kept.get(stream_id, False)
            return
        waits = next((work for work in self.waiting() if work.stream_id == stream_id), None)
        if waits is None:
            self.add(Work(stream_id, urgent))
        elif urgent and not waits.urgent:
            waits.urgent = True
            if waits in self.background:
                self.background.remove(waits)
                self.urgent.append(waits)
            else:
                self.remove(waits)
                self.front.append([waits])

    def add(self, work: Work) -> None:
        (self.urgent if work.urgent else self.background).append(work)

    def remove(self, work: Work) -> None:
        for lot in (*self.front, self.urgent, self.background):
            if work in lot:
                lot.remove(work)
        self.front = [lot for lot in self.front if lot]

    def first(self) -> list[Work]:
        """Those of which one is next."""
        if self.front:
            return self.front[-1]
        return self.urgent[:1] or self.background[:1]

    def end(self, work: Work, reason: str | None) -> None:
        """What is kept of a stream waits when its job has ended."""
        if reason is not None:
            self.letters[DeadLetter(WakeUp(work.stream_id, work.urgent), reason)] += 1
        if work.stream_id in self.kept:
            self.add(Work(work.stream_id, self.kept.pop(work.stream_id)))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        dead = [work for work in self.active.values() if work.until <= self.now]
        for work in dead:
            work.stalls += 1
            del self.active[work.stream_id]
        if dead:
            self.front.append(dead)


class PushStyleMachine(RuleBasedStateMachine):
    """Calls the queue and its model, and compares what they say."""

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        self.harness = harness
        self.queue = harness.queue
        self.queue.purge()
        self.model = Model()
        self.claims: list[tuple[Claim, Work]] = []
        self.finished: set[int] = set()

    @rule(pushes=st.lists(PUSHES, max_size=4))
    def push(self, pushes: list[Push]) -> None:
        self.queue.push_many(pushes)
        for push in pushes:
            self.model.push(push)

    @rule(lease_s=LEASES)
    def claim(self, lease_s: float) -> None:
        self.claimed(self.queue.claim(lease_s), lease_s)

    @rule(
        data=st.data(),
        outcome=OUTCOMES,
        then=st.lists(PUSHES, max_size=3),
        next_s=st.none() | LEASES,
    )
    def finish(
        self, data: st.DataObject, outcome: Outcome, then: list[Push], next_s: float | None
    ) -> None:
        if not self.claims:
            return
        claim, work = data.draw(st.sampled_from(self.claims))
        found = self.queue.finish(claim, outcome, then=then, claim_next_s=next_s)
        for push in then:
            self.model.push(push)
        if claim.token not in self.finished:
            self.finished.add(claim.token)
            if isinstance(outcome, Retry):
                self.model.push(Push(claim.wake_up, outcome.delay_s))
            if self.model.active.get(work.stream_id) is work and work.stalls == claim.claims - 1:
                del self.model.active[work.stream_id]
                self.model.end(work, outcome.reason if isinstance(outcome, Bury) else None)
        if next_s is not None:
            self.claimed(found, next_s)
        else:
            assert found is None

    @rule(seconds=st.sampled_from([50.0, 150.0]))
    def advance(self, seconds: float) -> None:
        self.harness.advance(seconds)
        self.model.advance(seconds)

    def claimed(self, claim: Claim | None, lease_s: float) -> None:
        failed = Counter(self.queue.dead_letters(ALL)) - self.model.letters
        while failed:
            work = next(
                work
                for work in self.model.first()
                if work.fails and failed[letter(work)] > 0  # which of a lot was first is not said
            )
            failed -= Counter([letter(work)])
            self.model.remove(work)
            self.model.end(work, STALLED)
        first = [work for work in self.model.first() if not work.fails]
        if claim is None:
            assert not self.model.first()
            return
        work = next(work for work in first if work.stream_id == claim.wake_up.stream_id)
        assert claim.wake_up == WakeUp(work.stream_id, work.urgent)
        assert claim.claims == work.stalls + 1
        self.model.remove(work)
        work.until = self.model.now + lease_s
        self.model.active[work.stream_id] = work
        self.claims.append((claim, work))

    @invariant()
    def counts_and_dead_letters_agree(self) -> None:
        model = self.model
        buried = model.letters.total()
        assert self.queue.stats() == QueueStats(len(model.waiting()), 0, len(model.active), buried)
        assert Counter(self.queue.dead_letters(ALL)) == model.letters


def letter(work: Work) -> DeadLetter:
    return DeadLetter(WakeUp(work.stream_id, work.urgent), STALLED)


def test_the_push_style_queue_is_its_model(bullmq_queue: Harness) -> None:
    wanted: Any = settings(
        max_examples=40,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    machine: Any = lambda: PushStyleMachine(bullmq_queue)  # noqa: E731 - a class by its hints
    run_state_machine_as_test(machine, settings=wanted)
