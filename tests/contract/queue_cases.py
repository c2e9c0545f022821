"""What the contract suite of the queues speaks of."""

from shared.queue.base import Claim, Done, Queue, WakeUp

LEASE_S = 60.0
# Time on Postgres goes on by itself: what is due later is due much later.
SOON_S = 100.0
LATER_S = 200.0
A, B, C = WakeUp(1), WakeUp(2), WakeUp(3)
URGENT_A, URGENT_B = WakeUp(1, urgent=True), WakeUp(2, urgent=True)


def claimed(queue: Queue, lease_s: float = LEASE_S) -> Claim:
    claim = queue.claim(lease_s)
    assert claim is not None
    return claim


def drained(queue: Queue) -> list[WakeUp]:
    """Take and finish everything claimable, in order."""
    taken = []
    while (claim := queue.claim(LEASE_S)) is not None:
        taken.append(claim.wake_up)
        queue.finish(claim, Done())
    return taken
