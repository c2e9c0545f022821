"""``supabase``: the database calls us by pg_cron and pg_net; every second would be possible."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from schema.queries import cron
from schema.queries.cron import CronJob
from shared.errors import ConfigError, SchedulerError
from shared.ops.schedules.base import CALLS_SHOWN, JOBS, PRICES, TICK, Call, JobStatus, Target

T = TypeVar("T")
CRONS = {TICK.name: "* * * * *", PRICES.name: "*/15 * * * *"}
EARLY = "?early=true"  # pg_net waits for five seconds only
NAMES = [job.name for job in JOBS]
FIX = (
    "Connect as the role postgres, and enable pg_cron, pg_net and Vault in Supabase's dashboard"
    " (Database, Extensions)."
)


class SupabaseScheduler:
    """Schedules in the user's own database; secrets lie in its vault."""

    def __init__(self, engine: Engine, target: Callable[[], Target], shown_url: str) -> None:
        if engine.dialect.name == "sqlite":
            detail = "--on supabase needs the Supabase database in DATABASE_URL"
            raise ConfigError(detail, fix="Set DATABASE_URL, or choose --on qstash.")
        self._engine = engine
        self._target = target
        self._shown_url = shown_url
        self._jobs = [CronJob(job.name, CRONS[job.name], job.path + EARLY) for job in JOBS]

    def plan(self) -> str:
        """See ``Scheduler.plan``."""
        return cron.script(self._jobs, self._shown_url)

    def install(self) -> None:
        """See ``Scheduler.install``."""
        target = self._target()

        def work(connection: Connection) -> None:
            cron.install(connection, url=target.url, secret=target.secret, jobs=self._jobs)

        self._done(work)

    def remove(self) -> None:
        """See ``Scheduler.remove``."""
        self._done(lambda connection: cron.remove(connection, NAMES))

    def status(self) -> Sequence[JobStatus]:
        """See ``Scheduler.status``."""
        return self._done(_status)

    def _done(self, work: Callable[[Connection], T]) -> T:
        """All in one transaction: installed whole, or not at all."""
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except DBAPIError as exc:
            # The server's first line; never the statement, whose parameters hold the secret.
            detail = "the database refused: " + str(exc.orig).partition("\n")[0]
            raise SchedulerError(detail, fix=FIX) from None


def _status(connection: Connection) -> list[JobStatus]:
    if not cron.has_extensions(connection):
        detail = "this database has no pg_cron, pg_net and Vault"
        raise SchedulerError(detail, fix=FIX)
    crons = cron.installed(connection, NAMES)
    calls = cron.last_calls(connection, NAMES, CALLS_SHOWN)
    return [
        JobStatus(
            job.name,
            job.what,
            crons.get(job.name),
            [Call(c.at, c.status, c.note or "") for c in calls if c.job == job.name],
        )
        for job in JOBS
    ]
