"""The queue seam. The ledger knows; the queue only wakes.

A wake-up says no more than "look at stream 42". It may be lost, doubled, late or from last week:
the worst case is a wasted look, and the sweeper refills any queue from the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class WakeUp(NamedTuple):
    """Look at this stream; ``urgent`` when a user is waiting."""

    stream_id: int
    urgent: bool = False


class Push(NamedTuple):
    """A wake-up to be claimable after ``delay_s``.

    ``feed`` is ``source/chain``, a hint of what the look will ask: a queue may bring a share of
    that provider's rate along with the claim. Without one the hint of an earlier push stays.
    """

    wake_up: WakeUp
    delay_s: float = 0.0
    feed: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer for a wake-up until its lease ends.

    ``claims`` counts those since the last success.
    """

    wake_up: WakeUp
    token: int
    claims: int


@dataclass(frozen=True, slots=True)
class Done:
    """The look was taken; ``note`` says for people what came of it, where a queue can show it."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Look again after ``delay_s``."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Bury:
    """Stop looking until somebody pushes again; kept as a dead letter with its reason."""

    reason: str


Outcome = Done | Retry | Bury


class QueueStats(NamedTuple):
    """How many wake-ups are claimable now, due later, claimed, and buried."""

    ready: int
    delayed: int
    claimed: int
    buried: int


class DeadLetter(NamedTuple):
    """A buried wake-up and why."""

    wake_up: WakeUp
    reason: str


class Queue(Protocol):
    """At-least-once delivery of wake-ups; at most one waiting and one claimed per stream.

    Order among claimable ones: urgent first, then the longest due, then the smaller stream.
    Delivery is at least once: a claim that is not finished before its lease ends is claimable
    again, with ``claims`` one higher.

    Delays below zero count as none. A token belongs to one claim only, also after its wake-up is
    gone.
    """

    def push(self, wake_up: WakeUp, *, delay_s: float = 0.0) -> None:
        """Make a stream claimable after ``delay_s``.

        While one waits, the earlier due time and the higher urgency win. While one is claimed, the
        push is kept and yields exactly one follow-up when that claim is finished, however many
        pushes came: the earliest due and the most urgent of them. A claim whose lease ended keeps
        it for whoever claims next, since its holder may still be at work with what it read before
        the push; an urgent push makes the unfinished claim urgent as well. A buried one comes back
        with no claims counted.
        """
        ...

    def push_many(self, pushes: Sequence[Push]) -> None:
        """The same for many, in one step where the queue can."""
        ...

    def stats(self) -> QueueStats:
        """Counts, for people and monitors."""
        ...

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The buried ones; push one to replay it."""
        ...

    def purge(self) -> int:
        """Forget everything, claims included; the number of wake-ups forgotten."""
        ...

    def claim(self, lease_s: float) -> Claim | None:
        """Take the next wake-up for ``lease_s``, or None when nothing is claimable."""
        ...

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        then: Sequence[Push] = (),
        claim_next_s: float | None = None,
    ) -> Claim | None:
        """End a claim, push ``then``, and take the next with ``claim_next_s``, all in one step.

        A claim whose lease ended and was taken by another no longer counts: its outcome is ignored,
        ``then`` is still pushed (a wake-up more does no harm, one less might). A claim whose lease
        ended and that nobody took still counts.

        What was pushed while it was claimed, ``then`` included: after Done it waits as pushed, with
        no claims counted; after Retry the earlier due time and the higher urgency win and the
        claims stay counted; after Bury it wins, so that nothing asked for is buried unseen.
        """
        ...
