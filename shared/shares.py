"""Shares of a provider's rate: what runs of many processes may call without meeting each other.

A provider's time is a row of slots, ``rate`` a second, one call each. Slot ``k`` belongs to stripe
``k mod STRIPES``, a stripe to one holder at a time, and a share to this process until its lease
ends. So the sum of all calls never passes the rate, whoever dies, and a lone holder has nearly all.
"""

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from shared.clock import Clock, Deadline
from shared.errors import RedisError, SourceRateLimitedError
from shared.gate import LONGEST_PAUSE_S, Pacer, Usage, check_quota, day_end

STRIPES = 60
SHARE_S = 30.0
ASK_AGAIN_S = 5.0  # nothing was free; the next holder to renew makes room
# Neither a network nor a busy machine is exact: at three calls a second a call may come 50 ms late
# and there are still no four within a second.
MARGIN = 0.95
DAY_S = 86_400
TELL_S = 1.0  # less of a box is not worth a call to the ledger

log = logging.getLogger(__name__)


class Grant(NamedTuple):
    """A share as told: moments are seconds of the server's clock, ``stripes`` 0s and 1s."""

    now_s: float
    ends_s: float
    stripes: str
    held_until_s: float
    used_today: int


class Told(NamedTuple):
    """Calls of the day of the server's clock, by source."""

    now_s: float
    used_today: dict[str, int]


class ShareLedger(Protocol):
    """Who holds what, known to all processes."""

    def renew(self, source: str, holder: str, used: int) -> Grant:
        """Give ``holder`` an equal part for ``SHARE_S``; it made ``used`` calls since it last told.

        Raises:
            RedisError: Nobody knows; a share that was held must not be used any more.
        """
        ...

    def hold(self, source: str, seconds: float) -> None:
        """Nobody may call ``source`` for ``seconds``."""
        ...

    def tell(self, used: Mapping[str, int], holder: str, returned: Sequence[str] = ()) -> None:
        """So many calls a holder made since it last told; its shares of some it gives back."""
        ...

    def usage(self, sources: Sequence[str]) -> Told:
        """What all holders told of their calls of today.

        Raises:
            RedisError: Nobody knows.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Share:
    """What this process holds of one provider; ``offset_s`` is server time less our monotonic."""

    grant: Grant
    offset_s: float
    asked_at: float
    asked_on: datetime

    def next_slot(self, now: float, rate: float, after: int) -> tuple[int, float] | None:
        """The first slot of ours behind ``after`` and its moment here; None when our lease ends."""
        from_s = max(now + self.offset_s, self.grant.held_until_s)
        first = max(int(from_s * rate) + 1, after + 1)
        for slot in range(first, first + STRIPES):
            if self.grant.stripes[slot % STRIPES] == "1":
                at_s = slot / rate
                return (slot, at_s - self.offset_s) if at_s < self.grant.ends_s else None
        return None


class ShareGate:
    """A gate for many processes: each calls in the slots of its share."""

    def __init__(
        self,
        clock: Clock,
        ledger: ShareLedger,
        holder: str,
        calls_per_s: Mapping[str, float],
        calls_a_day: Mapping[str, int],
    ) -> None:
        self.holder = holder
        self._clock = clock
        self._ledger = ledger
        self._rates = {key: rate * MARGIN for key, rate in calls_per_s.items()}
        self._quotas = calls_a_day
        # While the ledger is out of reach: our own pace, and the provider's own refusals.
        self._alone = Pacer(clock, calls_per_s, calls_a_day)
        self._shares: dict[str, _Share] = {}
        self._last_slots: dict[str, int] = {}
        self._made: Counter[str] = Counter()  # on that day, and not told yet
        self._made_on: float | None = None
        self._offset_s: float | None = None
        self._lock = threading.Lock()  # never held while we wait for anybody

    def acquire(self, source: str, deadline: Deadline) -> None:
        """See ``RateGate.acquire``."""
        if source not in self._rates:
            return
        with self._lock:
            wait_s = self._booked(source, deadline)
        if wait_s is None:
            try:
                self._renew(source)
            except RedisError as exc:
                log.warning("rate not shared", extra={"source": source, "code": exc.code})
                self._alone.acquire(source, deadline)
                with self._lock:
                    self._made[source] += 1
                return
            with self._lock:
                wait_s = self._booked(source, deadline)
        if wait_s is None:
            reason = "its rate is shared out among other runs"
            raise SourceRateLimitedError(source, reason, retry_after_s=ASK_AGAIN_S)
        if wait_s > 0:
            self._clock.sleep(wait_s, deadline)

    def hold(self, source: str, seconds: float) -> None:
        """See ``RateGate.hold``."""
        self._alone.hold(source, seconds)
        with self._lock:
            share = self._shares.get(source)
            if share is not None:
                until_s = self._clock.monotonic() + share.offset_s + seconds
                grant = share.grant._replace(held_until_s=until_s)
                self._shares[source] = replace(share, grant=grant)
        try:
            self._ledger.hold(source, seconds)
        except RedisError as exc:
            log.warning("hold not shared", extra={"source": source, "code": exc.code})

    def tell(self, deadline: Deadline) -> None:
        """See ``RateGate.tell``; runs of the queue tell with its own calls."""
        if deadline.remaining_s() < TELL_S:
            return  # with the next share
        made = self.told_calls()
        if not made:
            return
        try:
            self._ledger.tell(made, self.holder)
        except RedisError as exc:
            with self._lock:
                self._made.update(made)
            log.warning("calls not told", extra={"code": exc.code})

    def leave(self) -> None:
        """See ``RateGate.leave``."""
        made, returned = self.told_calls(), self.sources()
        self.forget()
        if not made and not returned:
            return
        try:
            self._ledger.tell(made, self.holder, returned)
        except RedisError as exc:
            log.warning("shares not given back", extra={"code": exc.code})

    def usage(self, sources: Sequence[str]) -> Usage:
        """See ``RateGate.usage``: what was told by all, and what we have not told yet."""
        told = self._ledger.usage(sources)
        with self._lock:
            self._turn_the_day()
            calls = {key: told.used_today.get(key, 0) + self._made[key] for key in sources}
        return Usage(calls, day_end(datetime.fromtimestamp(told.now_s, UTC)), for_all=True)

    def granted(self, source: str, grant: Grant, asked_at: float) -> None:
        """A share that came with another answer; ``asked_at`` is our monotonic time before it."""
        # The server read its clock between our question and now: the middle is the best guess.
        middle = (asked_at + self._clock.monotonic()) / 2
        share = _Share(grant, grant.now_s - middle, asked_at, self._clock.now())
        with self._lock:
            self._shares[source] = share
            self._offset_s = share.offset_s

    def sources(self) -> list[str]:
        """The sources of which this process holds a share."""
        with self._lock:
            return sorted(self._shares)

    def forget(self) -> None:
        """Use no share any more: they were given back."""
        with self._lock:
            self._shares.clear()

    def told_calls(self) -> dict[str, int]:
        """Calls made since this was last asked, by source."""
        with self._lock:
            self._turn_the_day()
            made, self._made = dict(self._made), Counter()
            for source, calls in made.items():
                self._count_told(source, calls)
            return made

    def _booked(self, source: str, deadline: Deadline) -> float | None:
        """Take the next slot; how long to wait for it. None: our share must be asked for again."""
        self._turn_the_day()
        share, now = self._shares.get(source), self._clock.monotonic()
        if share is None or (self._clock.now() - share.asked_on).total_seconds() > SHARE_S:
            # By the wall clock too: the monotonic one stands still while a platform freezes us.
            self._shares.pop(source, None)
            return None
        held_s = share.grant.held_until_s - share.offset_s - now
        if held_s > min(deadline.remaining_s(), LONGEST_PAUSE_S):
            raise SourceRateLimitedError(source, "it asked to wait", retry_after_s=held_s)
        slot = share.next_slot(now, self._rates[source], self._last_slots.get(source, -1))
        if slot is None:
            if now - share.asked_at < ASK_AGAIN_S and "1" not in share.grant.stripes:
                reason = "its rate is shared out among other runs"
                raise SourceRateLimitedError(source, reason, retry_after_s=ASK_AGAIN_S)
            # Given up before we ask again: the answer may be lost, and the slots be another's.
            del self._shares[source]
            return None
        self._check_quota(source, share, now)
        number, at = slot
        wait_s = max(0.0, at - now)
        if wait_s > min(deadline.remaining_s(), LONGEST_PAUSE_S):
            raise SourceRateLimitedError(source, "waiting for our turn", retry_after_s=wait_s)
        self._last_slots[source] = number
        self._made[source] += 1
        return wait_s

    def _renew(self, source: str) -> None:
        """Ask for our part again."""
        with self._lock:
            self._turn_the_day()
            used = self._made.pop(source, 0)
            self._count_told(source, used)
        asked_at = self._clock.monotonic()
        try:
            grant = self._ledger.renew(source, self.holder, used)
        except RedisError:
            with self._lock:
                self._made[source] += used
            raise
        self.granted(source, grant, asked_at)

    def _turn_the_day(self) -> None:
        """Forget what was called on a day that is over, by the server's clock."""
        if self._offset_s is None:
            return
        today = (self._clock.monotonic() + self._offset_s) // DAY_S
        if self._made_on not in {None, today}:
            self._made.clear()
        self._made_on = today

    def _count_told(self, source: str, calls: int) -> None:
        """What was told is no longer untold: it counts with our share until the next one comes."""
        share = self._shares.get(source)
        if share is not None:
            grant = share.grant._replace(used_today=share.grant.used_today + calls)
            self._shares[source] = replace(share, grant=grant)

    def _check_quota(self, source: str, share: _Share, now: float) -> None:
        server_s, grant = now + share.offset_s, share.grant
        # A share may outlive the day that it was given on.
        same_day = server_s // DAY_S == grant.now_s // DAY_S
        used = (grant.used_today if same_day else 0) + self._made[source]
        at = datetime.fromtimestamp(server_s, UTC)
        check_quota(source, used, self._quotas.get(source), at)
