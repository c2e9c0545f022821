"""``SimpleQueue``: the queue for serverless, Redis over HTTP, one call a step.

All that a run needs from Redis travels with the queue's own two calls. ``begin`` claims, and brings
a share of the provider's rate and the head that another run has seen; ``finish`` settles, pushes,
tells what was called and seen, claims the next, or gives the shares back when nothing is left.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from shared.clock import Clock
from shared.heads import Heads
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
from shared.shares import SHARE_S, Grant, ShareGate, Told

TOKEN_BITS = 63
STREAM_DIGITS = 19
MICROS = 1_000_000


class Scripts(Protocol):
    """What runs the scripts: ``UpstashClient``, or a stand-in with a clock of its own."""

    def script(self, name: str, ask: Mapping[str, Any]) -> Any:
        """Run one script; what it answers.

        Raises:
            RedisError: No usable answer.
        """
        ...


class UpstashQueue:
    """Sorted sets by due time and one hash, changed by scripts only; see ``lua/jobs.lua``."""

    def __init__(
        self,
        client: Scripts,
        clock: Clock,
        gate: ShareGate,
        heads: Heads,
        *,
        token: Callable[[], int] = lambda: secrets.randbits(TOKEN_BITS),
    ) -> None:
        self._client = client
        self._clock = clock
        self._gate = gate
        self._heads = heads
        self._token = token
        self._open = 0
        self._lock = threading.Lock()

    def push(self, wake_up: WakeUp, *, delay_s: float = 0.0) -> None:
        """See ``Queue.push``."""
        self.push_many([Push(wake_up, delay_s)])

    def push_many(self, pushes: Sequence[Push]) -> None:
        """See ``Queue.push_many``."""
        if pushes:
            self._client.script("push", {"pushes": _told(pushes)})

    def stats(self) -> QueueStats:
        """See ``Queue.stats``."""
        return QueueStats(**self._client.script("stats", {}))

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """See ``Queue.dead_letters``."""
        found = []
        for stream, letter in self._client.script("buried", {"most": limit}):
            urgent, _, reason = letter.partition("|")
            found.append(DeadLetter(WakeUp(int(stream), urgent == "1"), reason))
        return found

    def purge(self) -> int:
        """See ``Queue.purge``."""
        forgotten: int = self._client.script("purge", {})["forgotten"]
        return forgotten

    def claim(self, lease_s: float) -> Claim | None:
        """See ``Queue.claim``."""
        wanted = self._wanted(lease_s)
        return self._taken(wanted, "begin", {"claim": wanted})

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        then: Sequence[Push] = (),
        claim_next_s: float | None = None,
    ) -> Claim | None:
        """See ``Queue.finish``."""
        with self._lock:
            self._open -= 1
            last = self._open <= 0
        wanted = None if claim_next_s is None else self._wanted(claim_next_s)
        ask = {
            "stream": _padded(claim.wake_up.stream_id),
            "token": str(claim.token),
            "outcome": _outcome(outcome),
            "pushes": _told(then),
            "claim": wanted or False,
            "holder": self._gate.holder,
            # Another run of this process may still be calling with them.
            "returned": self._gate.sources() if last else [],
            "used": self._gate.told_calls(),
            "heads": self._told_heads(),
        }
        found = self._taken(wanted, "finish", ask)
        if found is None and last:
            self._gate.forget()
        return found

    def _taken(
        self, wanted: Mapping[str, Any] | None, script: str, ask: Mapping[str, Any]
    ) -> Claim | None:
        """Run a script that may claim; keep what came with the claim."""
        asked_at = self._clock.monotonic()
        answer = self._client.script(script, ask)
        taken = answer.get("claim")
        if taken is None or wanted is None:
            return None
        if "share" in answer:
            self._gate.granted(answer["share"]["source"], grant_of(answer["share"]), asked_at)
        if "head" in answer:
            source, _, chain = taken["feed"].rpartition("/")
            age_s = answer["head"]["age_us"] / MICROS
            self._heads.heard(source, int(chain), int(answer["head"]["block"]), age_s=age_s)
        with self._lock:
            self._open += 1
        wake_up = WakeUp(int(taken["stream"]), taken["urgent"])
        return Claim(wake_up, int(wanted["token"]), taken["claims"])

    def _told_heads(self) -> dict[str, Any]:
        """The heads that this process has seen itself."""
        return {
            f"{source}/{chain_id}": {"block": block, "age_us": round(age_s * MICROS)}
            for (source, chain_id), (block, age_s) in self._heads.news().items()
        }

    def _wanted(self, lease_s: float) -> dict[str, Any]:
        return {
            "token": str(self._token()),
            "lease_us": round(lease_s * MICROS),
            "holder": self._gate.holder,
            "share_us": round(SHARE_S * MICROS),
        }


class UpstashShares:
    """Shares of rates in the same Redis, for calls that no claim came before."""

    def __init__(self, client: Scripts) -> None:
        self._client = client

    def renew(self, source: str, holder: str, used: int) -> Grant:
        """See ``ShareLedger.renew``."""
        ask = {
            "source": source,
            "holder": holder,
            "share_us": round(SHARE_S * MICROS),
            "used": {source: used},
        }
        return grant_of(self._client.script("renew", ask))

    def hold(self, source: str, seconds: float) -> None:
        """See ``ShareLedger.hold``."""
        self._client.script("hold", {"source": source, "hold_us": round(seconds * MICROS)})

    def tell(self, used: Mapping[str, int], holder: str, returned: Sequence[str] = ()) -> None:
        """See ``ShareLedger.tell``."""
        ask = {"used": dict(used), "holder": holder, "returned": list(returned)}
        self._client.script("tell", ask)

    def usage(self, sources: Sequence[str]) -> Told:
        """See ``ShareLedger.usage``."""
        told = self._client.script("usage", {"sources": list(sources)})
        found = dict(told["sources"])  # an empty table may come as a list
        used = {source: int(each["used"]) for source, each in found.items()}
        return Told(int(told["now"]) / MICROS, used)


def grant_of(told: Mapping[str, Any]) -> Grant:
    """A share as a script tells it."""
    return Grant(
        now_s=int(told["now"]) / MICROS,
        ends_s=int(told["ends"]) / MICROS,
        stripes=told["stripes"],
        held_until_s=int(told["held"]) / MICROS,
        used_today=int(told["used"]),
    )


def _padded(stream_id: int) -> str:
    return f"{stream_id:0{STREAM_DIGITS}d}"


def _told(pushes: Sequence[Push]) -> list[dict[str, Any]]:
    return [
        {
            "stream": _padded(push.wake_up.stream_id),
            "urgent": push.wake_up.urgent,
            "delay_us": round(max(0.0, push.delay_s) * MICROS),
            "feed": push.feed,
        }
        for push in pushes
    ]


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Done():
            return {"kind": "done"}
        case Retry(delay_s):
            return {"kind": "retry", "delay_us": round(max(0.0, delay_s) * MICROS)}
        case Bury(reason):
            return {"kind": "bury", "reason": reason.replace("\0", "")}
