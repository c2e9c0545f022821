"""``qstash``: Upstash's message service calls us.

https://upstash.com/docs/qstash/api-reference/schedules/create-a-schedule, ../list-schedules and
../logs/list-logs (read 2026-11-24).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from shared.errors import SchedulerError
from shared.ops.schedules.base import CALLS_SHOWN, JOBS, PRICES, TICK, Call, JobStatus, Target

# The free plan has 1,000 messages a day: these are 720 and 96.
CRONS = {TICK.name: "*/2 * * * *", PRICES.name: "*/15 * * * *"}
WAIT_S = 15.0
SAID = 200  # letters of a refusal that are shown
FIX = "Check QSTASH_TOKEN (and QSTASH_URL, which depends on the region)."


class QstashScheduler:
    """Schedules by id: installing again replaces them."""

    def __init__(self, token: str, url: str, target: Callable[[], Target], shown_url: str) -> None:
        self._token = token
        self._url = url.rstrip("/")
        self._target = target
        self._shown_url = shown_url

    def plan(self) -> str:
        """See ``Scheduler.plan``."""
        lines = []
        for job in JOBS:
            headers = {
                "authorization": "Bearer $QSTASH_TOKEN",
                **_headers(job.name),
                "upstash-forward-authorization": "Bearer $CRON_SECRET",
            }
            shown = "".join(f' \\\n  -H "{name}: {value}"' for name, value in headers.items())
            url = f"{self._url}/v2/schedules/{self._shown_url}{job.path}"
            lines.append(f"curl -X POST {url}{shown}")
        return "\n".join(lines) + "\n"

    def install(self) -> None:
        """See ``Scheduler.install``."""
        target = self._target()
        for job in JOBS:
            headers = _headers(job.name)
            headers["upstash-forward-authorization"] = f"Bearer {target.secret}"
            self._ask("POST", f"/v2/schedules/{target.url}{job.path}", headers=headers)

    def remove(self) -> None:
        """See ``Scheduler.remove``."""
        for name in self._installed():
            self._ask("DELETE", f"/v2/schedules/{name}")

    def status(self) -> Sequence[JobStatus]:
        """See ``Scheduler.status``."""
        crons = self._installed()
        return [
            JobStatus(job.name, job.what, crons.get(job.name), self._calls(job.name))
            for job in JOBS
        ]

    def _installed(self) -> dict[str, str]:
        """Our schedules, and when they run."""
        found = self._ask("GET", "/v2/schedules")
        ours = {job.name for job in JOBS}
        return {s["scheduleId"]: s["cron"] for s in found or [] if s.get("scheduleId") in ours}

    def _calls(self, name: str) -> list[Call]:
        found = self._ask("GET", "/v2/logs", {"scheduleId": name, "count": "50"}) or {}
        ends = [
            each
            for each in found.get("logs") or found.get("events") or []
            if str(each.get("state", "")).upper() in {"DELIVERED", "ERROR", "FAILED"}
        ]
        return [_call(each) for each in ends[:CALLS_SHOWN]]

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        headers = {**(headers or {}), "authorization": f"Bearer {self._token}"}
        try:
            answer = httpx.request(
                method, self._url + path, params=query, headers=headers, timeout=WAIT_S
            )
        except httpx.HTTPError as exc:
            detail = f"QStash cannot be reached ({type(exc).__name__})"
            raise SchedulerError(detail, fix=FIX) from exc
        if not answer.is_success:
            detail = f"QStash refused: HTTP {answer.status_code} {answer.text[:SAID]}".rstrip()
            raise SchedulerError(detail, fix=FIX)
        try:
            return answer.json() if answer.content else None
        except ValueError as exc:
            detail = "QStash's answer is no JSON"
            raise SchedulerError(detail, fix=FIX) from exc


def _headers(name: str) -> dict[str, str]:
    return {
        "upstash-cron": CRONS[name],
        "upstash-schedule-id": name,
        "upstash-method": "POST",
        # The next call is near: a late repetition would only cost a message.
        "upstash-retries": "0",
    }


def _call(found: dict[str, Any]) -> Call:
    at = datetime.fromtimestamp(float(found.get("time", 0)) / 1000, UTC)
    status = found.get("responseStatus")
    return Call(at, int(status) if status else None, str(found.get("error") or found["state"]))
