"""Moving work from one queue to another, and back, with nothing lost.

The ledger knows; the queue only wakes. So a move is: pause, wait until nobody works, flip the
switch, fill the new queue from the ledger, empty the old one, compare, go on. Each step is written
into the ``switch`` row before it is taken, so a mover that died is finished by the same command.
The API answers all the while: what is asked for meanwhile is due in the ledger.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, get_args

from sqlalchemy import Engine

from schema.queries import fingerprint, stream, switch
from schema.queries.switch import SwitchRow
from shared.clock import Clock
from shared.errors import ConfigError, MovingError, RedisError
from shared.queue.base import Push, Queue, WakeUp
from shared.queue.factory import QueueKind, make_commons, queue_kind
from shared.queue.switched import LOOK_AGAIN_S
from shared.seams import SqlUnit
from shared.settings import Settings

DRAINING, FILLING = "draining", "filling"
POLL_S = 0.5
SEEN_S = LOOK_AGAIN_S + 0.5  # every process has looked at the switch since
BATCH = 1_000
LANDS = tuple(kind for kind in get_args(QueueKind) if kind != "memory")

Fingerprint = Mapping[int, tuple[str, str]]


class Mover:
    """Carries out moves; every method is safe to repeat, whatever became of the last try."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        clock: Clock,
        *,
        say: Callable[[str], None],
        give_up_s: float = 600.0,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._unit = SqlUnit(engine)
        self._clock = clock
        self._say = say
        self._give_up_s = give_up_s

    def standing(self) -> SwitchRow:
        """The switch as it is; made, naming this environment's queue, where there was none."""
        own = queue_kind(self._settings)

        def step(connection: Any) -> SwitchRow | None:
            switch.first(connection, own)
            return switch.read(connection)

        found: SwitchRow | None = self._unit.run("switch", step)
        assert found is not None  # noqa: S101 - just made
        return found

    def pause(self) -> None:
        """Have nobody claim any more; what is under way ends by itself."""
        row = self.standing()
        if not row.paused:
            self._put(row._replace(paused=True))
        self._say("paused: nobody begins anything; what is under way ends by itself")

    def resume(self) -> None:
        """Have work go on.

        Raises:
            MovingError: A move is under way.
        """
        row = self.standing()
        if row.stage is not None:
            detail = f"a move is under way ({row.stage})"
            raise MovingError(detail, fix="Finish it by the same cutover, or say rollback.")
        if row.paused:
            self._put(row._replace(paused=False))
        self._say(f"working again, on {row.queue}")

    def drain(self) -> None:
        """Wait until nobody works on any stream.

        Raises:
            MovingError: Work is not paused, or somebody goes on for too long.
        """
        if not self.standing().paused:
            detail = "work is not paused, so it never ends"
            raise MovingError(detail, fix="Say tallybook pause first.")
        self._sleep(SEEN_S)
        give_up = self._clock.monotonic() + self._give_up_s
        while working := self._unit.run("leased", stream.leased):
            if self._clock.monotonic() > give_up:
                detail = f"{working} streams are still being worked on"
                fix = "See who works (tallybook verify, the logs), end it, and repeat the command."
                raise MovingError(detail, fix=fix)
            self._say(f"waiting for {working} streams to be let go")
            self._sleep(POLL_S)
        self._say("drained: nobody works")

    def cutover(self, to: QueueKind) -> None:
        """Move to another queue.

        Raises:
            MovingError: Another move is under way, or what was compared is not equal.
            ConfigError: A queue cannot be reached as things are set.
        """
        row = self._begun(to)
        if row is None:
            self._say(f"{to} is the active queue already; nothing to do")
            return
        source = self._raw(row.queue if _stage(row) == DRAINING else row.was or row.queue)
        target = self._raw(to)
        before: Fingerprint | None = None
        if _stage(row) == DRAINING:
            self.drain()
            before = self._fingerprint()
            row = self._put(row._replace(queue=to, was=row.queue, stage=f"{FILLING}:{to}"))
            self._say(f"switched: {to} is the active queue, epoch {row.epoch}")
        self._fill(target)
        self._empty(source, row)
        if before is not None:
            self._compare(before)
        self._put(row._replace(paused=False, stage=None))
        self._say(f"done: work goes on, on {to}")

    def rollback(self) -> None:
        """Back to where work was before: of a move under way, or of the last one.

        Raises:
            MovingError: Nothing was ever moved.
        """
        row = self.standing()
        if _stage(row) == DRAINING:
            self._put(row._replace(paused=False, stage=None))
            self._say(f"the move is off: work goes on, on {row.queue}")
            return
        was = row.was
        if was is None:
            detail = "nothing was moved, so there is no way back"
            raise MovingError(detail, fix="")
        if _stage(row) == FILLING:
            # As if the move had ended: the way back is a move like any other.
            row = self._put(row._replace(stage=None))
        self.cutover(_kind(was))

    def plan(self, to: QueueKind) -> list[str]:
        """What a cutover would do, in order."""
        row = self.standing()
        if row.queue == to and row.stage is None:
            return [f"{to} is the active queue already: nothing"]
        return [
            f"pause: nobody begins anything on {row.queue}; the API goes on answering",
            f"drain: wait until nobody works (a dead process's lease ends within"
            f" {self._settings.lease_s:g} s)",
            f"switch: {to} becomes the active queue; processes set up for another stop working",
            f"fill: what is due is pushed to {to}; what it held before is dropped",
            f"empty: what {row.queue} still holds is listed and dropped (the ledger knows it)",
            "compare: streams, balances and movements are as before",
            f"resume: processes set up for {to} work; start them if there are none",
        ]

    def _begun(self, to: QueueKind) -> SwitchRow | None:
        """The row with this move under way; None when there is nothing to do."""
        row = self.standing()
        for kind in (to, _kind(row.queue)):
            self._raw(kind).stats()  # reachable, before anything is stopped
        if row.stage is not None:
            if row.stage.partition(":")[2] != to:
                detail = f"another move is under way ({row.stage})"
                raise MovingError(detail, fix="Finish that one first, or say tallybook rollback.")
            self._say(f"going on with the move that was begun ({row.stage})")
            return row
        if row.queue == to:
            return None
        self._say(f"moving from {row.queue} to {to}")
        return self._put(row._replace(paused=True, stage=f"{DRAINING}:{to}"))

    def _fill(self, target: Queue) -> None:
        """Everything due, from the ledger; what was in the queue before is from another time."""
        dropped = target.purge()
        due = self._unit.run("due", lambda connection: stream.due(connection, most=2**31 - 1))
        for at in range(0, len(due), BATCH):
            chosen = due[at : at + BATCH]
            target.push_many([Push(WakeUp(feed.stream_id), feed=feed.name) for feed in chosen])
        self._say(f"filled: {len(due)} wake-ups from the ledger, {dropped} old ones dropped")

    def _empty(self, source: Queue, row: SwitchRow) -> None:
        """Drop what the old queue holds, dead letters named; it may be gone already."""
        try:
            for letter in source.dead_letters():
                self._say(f"given up on {row.was}: {letter.wake_up.stream_id}: {letter.reason}")
            self._say(f"emptied: {source.purge()} wake-ups of {row.was} dropped")
        except RedisError as exc:
            self._say(f"{row.was} is out of reach ({exc.detail}): what it holds harms nobody")

    def _fingerprint(self) -> Fingerprint:
        def contents(stream_id: int) -> str:
            return self._unit.run("contents", lambda c: fingerprint.contents(c, stream_id))

        found = self._unit.run("streams", fingerprint.streams)
        return {stream_id: (where, contents(stream_id)) for stream_id, where in found}

    def _compare(self, before: Fingerprint) -> None:
        after = self._fingerprint()
        changed = [key for key, value in before.items() if after.get(key) != value]
        if changed:
            detail = f"streams are not as before: {', '.join(map(str, changed[:10]))}"
            fix = "Work stays paused. See who wrote (logs), then repeat the command or rollback."
            raise MovingError(detail, fix=fix)
        new = len(after) - len(before)
        self._say(f"compared: {len(before)} streams are as before, {new} were added meanwhile")

    def _put(self, row: SwitchRow) -> SwitchRow:
        """Write the row over the one it was made from.

        Raises:
            MovingError: Somebody else has changed it.
        """
        if not self._unit.run("put switch", lambda connection: switch.put(connection, row)):
            detail = "somebody else is moving at the same time"
            raise MovingError(detail, fix="Look who; then repeat the command.")
        return row._replace(epoch=row.epoch + 1)

    def _raw(self, kind: str) -> Queue:
        return make_commons(self._settings, self._engine, self._clock, _kind(kind)).queue

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: TID251 - a command that waits for other processes


def _stage(row: SwitchRow) -> str | None:
    return None if row.stage is None else row.stage.partition(":")[0]


def _kind(name: str) -> QueueKind:
    for kind in LANDS:
        if kind == name:
            found: QueueKind = kind
            return found
    detail = f"there is no queue {name!r}"
    raise ConfigError(detail, fix=f"Say one of {', '.join(LANDS)}.")
