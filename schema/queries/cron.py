"""Supabase's pg_cron, pg_net and vault: cron calls that the database itself makes.

https://supabase.com/docs/guides/cron, https://supabase.com/docs/guides/database/vault and the
extensions' own SQL (github.com/citusdata/pg_cron, github.com/supabase/pg_net), read 2026-11-24.
The URL and the secret lie in the vault: a job's text is readable, and dumped with the database.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

URL, SECRET = "tallybook_url", "tallybook_cron_secret"
TIMEOUT_MS = 5_000
KEEP_DAYS = 3
LOG_JOB, LOG_CRON = "tallybook-cron-log", "17 3 * * *"
EXTENSIONS = ("pg_cron", "pg_net", "supabase_vault")
# One look-up of the secret for all jobs; the ids tell later which answer belongs to which job.
_CALL = f"""
CREATE SCHEMA IF NOT EXISTS tallybook_ops;
REVOKE ALL ON SCHEMA tallybook_ops FROM PUBLIC;
CREATE TABLE IF NOT EXISTS tallybook_ops.call (
  id bigint NOT NULL, job text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE OR REPLACE FUNCTION tallybook_ops.call(job text, path text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
  WITH sent AS (SELECT net.http_post(
    url := (SELECT decrypted_secret FROM vault.decrypted_secrets WHERE name = '{URL}') || path,
    headers := jsonb_build_object('Content-Type', 'application/json', 'Authorization', 'Bearer ' ||
      (SELECT decrypted_secret FROM vault.decrypted_secrets WHERE name = '{SECRET}')),
    body := '{{}}'::jsonb, timeout_milliseconds := {TIMEOUT_MS}) AS id)
  INSERT INTO tallybook_ops.call (id, job) SELECT sent.id, $1 FROM sent RETURNING id
$$;
REVOKE ALL ON FUNCTION tallybook_ops.call(text, text) FROM PUBLIC;
"""
_TRIM = f"""
DELETE FROM cron.job_run_details WHERE end_time < now() - interval '{KEEP_DAYS} days';
DELETE FROM tallybook_ops.call WHERE at < now() - interval '{KEEP_DAYS} days'
"""
_PUT_IN_VAULT = """
SELECT CASE WHEN found.id IS NULL THEN vault.create_secret(%(value)s, %(name)s)::text
  ELSE vault.update_secret(found.id, %(value)s)::text END
FROM (SELECT (SELECT id FROM vault.secrets WHERE name = %(name)s) AS id) found
"""
_SCHEDULE = "SELECT cron.schedule(%(name)s, %(cron)s, %(command)s)"
_INSTALLED = "SELECT jobname, schedule FROM cron.job WHERE jobname = ANY (%(names)s)"
_SEVERAL = {"no_parameters": True}  # else the driver sends one statement at a time
_CALLS = """
SELECT c.job, c.at, r.status_code, coalesce(r.error_msg, left(r.content, 200))
FROM unnest(%(names)s::text[]) AS n(job) CROSS JOIN LATERAL (
  SELECT * FROM tallybook_ops.call c WHERE c.job = n.job ORDER BY c.at DESC LIMIT %(most)s) c
LEFT JOIN net._http_response r ON r.id = c.id
ORDER BY c.at DESC
"""


class CronJob(NamedTuple):
    """A job by its name, when it runs, and what it calls (the path behind the deployment's URL)."""

    name: str
    cron: str
    path: str

    @property
    def command(self) -> str:
        """What pg_cron executes."""
        return f"SELECT tallybook_ops.call('{self.name}', '{self.path}')"


class CronCall(NamedTuple):
    """A call that was made; no status: no answer (yet), or it was forgotten (pg_net: 6 hours)."""

    job: str
    at: datetime
    status: int | None
    note: str | None


def script(jobs: Iterable[CronJob], url: str) -> str:
    """All that ``install`` does as SQL to paste; the secret is for the reader to fill in."""
    lines = [f"CREATE EXTENSION IF NOT EXISTS {name};" for name in EXTENSIONS]
    lines += [
        "-- A second time: SELECT vault.update_secret(id, '..') FROM vault.secrets WHERE name = ..",
        f"SELECT vault.create_secret('{url}', '{URL}');",
        f"SELECT vault.create_secret('YOUR_CRON_SECRET', '{SECRET}');",
        _CALL.strip(),
        *(f"SELECT cron.schedule('{j.name}', '{j.cron}', $job${j.command}$job$);" for j in jobs),
        f"SELECT cron.schedule('{LOG_JOB}', '{LOG_CRON}', $job${_TRIM}$job$);",
    ]
    return "\n".join(lines) + "\n"


def has_extensions(connection: Connection) -> bool:
    """Whether scheduler, requests and vault are there to be called."""
    found = connection.exec_driver_sql(
        "SELECT to_regnamespace('cron') IS NOT NULL AND to_regnamespace('net') IS NOT NULL"
        " AND to_regnamespace('vault') IS NOT NULL"
    )
    return bool(found.scalar_one())


def install(connection: Connection, *, url: str, secret: str, jobs: Iterable[CronJob]) -> None:
    """Schedule the jobs, each replacing its namesake; within the caller's transaction."""
    if not has_extensions(connection):
        for name in EXTENSIONS:
            connection.exec_driver_sql(f"CREATE EXTENSION IF NOT EXISTS {name}")
    for name, value in ((URL, url), (SECRET, secret)):
        connection.exec_driver_sql(_PUT_IN_VAULT, {"name": name, "value": value})
    connection.exec_driver_sql(_CALL, execution_options=_SEVERAL)
    everything = [(job.name, job.cron, job.command) for job in jobs]
    for name, cron, command in [*everything, (LOG_JOB, LOG_CRON, _TRIM)]:
        connection.exec_driver_sql(_SCHEDULE, {"name": name, "cron": cron, "command": command})


def remove(connection: Connection, names: Iterable[str]) -> None:
    """Take the jobs and the secrets away; the log of calls goes as well."""
    found = installed(connection, [*names, LOG_JOB])
    for name in found:
        connection.exec_driver_sql("SELECT cron.unschedule(%(name)s)", {"name": name})
    connection.exec_driver_sql(
        "DELETE FROM vault.secrets WHERE name = ANY (%(names)s)", {"names": [URL, SECRET]}
    )
    connection.exec_driver_sql("DROP SCHEMA IF EXISTS tallybook_ops CASCADE")


def installed(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """The jobs of these names that are scheduled, and when they run."""
    rows = connection.exec_driver_sql(_INSTALLED, {"names": list(names)})
    return {row[0]: row[1] for row in rows}


def last_calls(connection: Connection, names: Iterable[str], most: int) -> list[CronCall]:
    """The last calls of each job, newest first."""
    there = connection.exec_driver_sql("SELECT to_regclass('tallybook_ops.call') IS NOT NULL")
    if not there.scalar_one():
        return []
    rows = connection.exec_driver_sql(_CALLS, {"names": list(names), "most": most})
    return [CronCall._make(row) for row in rows]
