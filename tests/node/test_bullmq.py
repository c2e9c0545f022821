"""BullMQ for Node and Bull Board, in the folder beside, on the queue that the Python side fills."""

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from shared.queue.base import Bury, Claim, Done, Push, QueueStats, Retry, WakeUp
from shared.queue.bullmq import BACKGROUND, JOB, QUEUE, BullmqQueue
from tests.npm import install, search_path

HERE = Path(__file__).parent / "bullmq"
LONGEST_S, LEASE_S = 60.0, 30.0


class Node:
    """Our queue, and scripts of Node on the same Redis."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.prefix = f"node{uuid.uuid4().hex}"
        self.queue = BullmqQueue(url, prefix=self.prefix)
        self._home = home

    def start(self, script: str, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - ours
            ["node", script, self.url, self.prefix, *args],  # noqa: S607 - from PATH
            cwd=HERE,
            env={"PATH": search_path(), "HOME": str(self._home)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def told(self, process: subprocess.Popen[str]) -> list[dict[str, Any]]:
        """What it said until it ended, well."""
        try:
            out, err = process.communicate(timeout=LONGEST_S)
        finally:
            process.kill()
        assert process.returncode == 0, out + err
        return [json.loads(line) for line in out.splitlines()]

    def add(self, *jobs: tuple[str, object, dict[str, object]]) -> list[str]:
        """Have a Queue of Node add jobs; their ids."""
        said = self.told(self.start("add.mjs", *(json.dumps(job) for job in jobs)))
        return [job["id"] for job in said]

    def claimed(self) -> Claim:
        claim = self.queue.claim(LEASE_S)
        assert claim is not None
        return claim


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    install(HERE)


@pytest.fixture
def node(redis_url: str, tmp_path: Path) -> Iterator[Node]:
    made = Node(redis_url, tmp_path)
    yield made
    made.queue.close()
    with Redis.from_url(redis_url) as redis:
        redis.unlink(*redis.keys(f"{made.prefix}:*"), "none")


def test_worker_of_node_works_what_we_push(node: Node) -> None:
    node.queue.push_many([Push(WakeUp(1), feed="etherscan/1"), Push(WakeUp(2, urgent=True))])
    node.queue.push(WakeUp(3))

    said = node.told(node.start("work.mjs", "3"))

    assert [job["data"] for job in said] == [
        {"streamId": 2, "feed": ""},
        {"streamId": 1, "feed": "etherscan/1"},
        {"streamId": 3, "feed": ""},
    ]
    assert [job["priority"] for job in said] == [0, BACKGROUND, BACKGROUND]
    assert {job["name"] for job in said} == {JOB}
    assert said[0]["deduplication"] == {"id": "s2", "keepLastIfActive": True}
    assert node.queue.stats() == QueueStats(0, 0, 0, 0)
    # What Node has ended is no longer in the way of the next push.
    node.queue.push(WakeUp(1))
    assert node.claimed().wake_up == WakeUp(1)


def test_push_while_node_works_is_kept_and_worked_by_us(node: Node) -> None:
    """The same deduplication on both sides: what is active there counts here."""
    node.queue.push(WakeUp(1))
    ours = node.claimed()
    kept: dict[str, object] = {"deduplication": {"id": "s1", "keepLastIfActive": True}}
    assert node.add((JOB, {"streamId": 1}, kept), (JOB, {"streamId": 1}, kept))
    assert node.queue.claim(LEASE_S) is None

    node.queue.finish(ours, Done())

    assert node.claimed().wake_up == WakeUp(1, urgent=True)
    assert node.queue.claim(LEASE_S) is None


def test_jobs_that_node_adds_are_claimed_with_their_streams(node: Node) -> None:
    ours: dict[str, object] = {
        "deduplication": {"id": "s7", "keepLastIfActive": True},
        "priority": BACKGROUND,
    }
    node.add((JOB, {"streamId": 7, "feed": "etherscan/1"}, ours), (JOB, {"streamId": 8}, {}))
    node.queue.push(WakeUp(7, urgent=True))  # one deduplication id: it overtakes, not doubles

    taken = []
    while (claim := node.queue.claim(LEASE_S)) is not None:
        taken.append(claim.wake_up)
        node.queue.finish(claim, Done())

    assert taken == [WakeUp(8, urgent=True), WakeUp(7, urgent=True)]
    assert node.queue.stats() == QueueStats(0, 0, 0, 0)


def test_job_of_node_with_foreign_data_fails_with_a_reason_and_blocks_nobody(node: Node) -> None:
    attempts: dict[str, object] = {"attempts": 5, "backoff": 10}
    [bad, *_] = node.add(("mail", {"to": "ann"}, attempts), (JOB, {"streamId": 8}, {}))

    assert node.claimed().wake_up.stream_id == 8
    with Redis.from_url(node.url, decode_responses=True) as redis:
        key = f"{node.prefix}:{QUEUE}"
        assert redis.zrange(f"{key}:failed", 0, -1) == [bad]
        reason = redis.hget(f"{key}:{bad}", "failedReason")
    assert reason == "data must hold streamId, the number of a stream"


def test_delayed_job_of_node_comes_when_due_or_at_once_with_a_push(node: Node) -> None:
    late: dict[str, object] = {"deduplication": {"id": "s1"}, "delay": 3_600_000}
    soon: dict[str, object] = {"delay": 300}
    node.add((JOB, {"streamId": 1}, late), (JOB, {"streamId": 2}, soon))
    time.sleep(0.4)  # noqa: TID251 - until it is due
    assert node.claimed().wake_up.stream_id == 2
    assert node.queue.claim(LEASE_S) is None

    node.queue.push(WakeUp(1))

    assert node.claimed().wake_up.stream_id == 1
    assert node.queue.stats().delayed == 0


def test_scheduler_of_node_goes_on_when_its_jobs_are_worked_here(node: Node) -> None:
    node.told(node.start("schedule.mjs", "5"))
    seen = 0
    give_up = time.monotonic() + 10
    while seen < 3 and time.monotonic() < give_up:
        claim = node.queue.claim(LEASE_S)
        if claim is None:
            node.queue.wait(0.1)
            continue
        assert claim.wake_up.stream_id == 5
        node.queue.finish(claim, Done())
        seen += 1

    assert seen == 3


def test_team_s_own_jobs_on_a_queue_beside_ours_disturb_nobody(node: Node) -> None:
    beside = node.start("beside.mjs", "30")
    taken = []
    for stream_id in range(1, 31):
        node.queue.push(WakeUp(stream_id))  # the same deduplication ids as theirs
        claim = node.claimed()
        taken.append(claim.wake_up.stream_id)
        node.queue.finish(claim, Done())
        time.sleep(0.02)  # noqa: TID251 - as long as theirs

    [said] = node.told(beside)

    assert said == {
        "done": 30,
        "counts": {"waiting": 0, "active": 0, "completed": 30, "failed": 0},
    }
    assert taken == list(range(1, 31))
    assert node.queue.purge() == 0
    with Redis.from_url(node.url) as redis:
        assert redis.zcard(f"{node.prefix}:team-reports:completed") == 30


def test_bull_board_shows_what_people_ask_for(node: Node) -> None:
    node.queue.push_many([Push(WakeUp(n), feed="etherscan/1") for n in range(1, 7)])
    node.queue.finish(node.claimed(), Done("3 pages, up to block 19,000,000"))
    node.queue.finish(node.claimed(), Done())
    node.queue.finish(node.claimed(), Retry(90))
    node.queue.finish(node.claimed(), Bury("chain 9 is not served by etherscan"))
    node.claimed()

    board = node.start("board.mjs")
    try:
        assert board.stdout is not None
        port = json.loads(board.stdout.readline())["port"]
        base = f"http://127.0.0.1:{port}/admin/queues"
        with httpx.Client(timeout=LONGEST_S) as client:
            page = client.get(base)
            asked = {
                status: client.get(
                    f"{base}/api/queues",
                    params={"activeQueue": QUEUE, "status": status, "jobsPerPage": 10},
                ).json()
                for status in ("prioritized", "active", "completed", "failed")
            }
            shown = {
                status: next(each for each in told["queues"] if each["name"] == QUEUE)
                for status, told in asked.items()
            }
            jobs = {status: queue["jobs"] for status, queue in shown.items()}
            noted = next(
                job for job in jobs["completed"] if job["returnValue"].startswith("3 pages")
            )
            logs = client.get(f"{base}/api/queues/{QUEUE}/{noted['id']}/logs").json()
    finally:
        node.told(board)

    assert page.status_code == 200
    assert {each["name"] for each in asked["failed"]["queues"]} == {QUEUE, "team-reports"}
    counts = shown["failed"]["counts"]
    assert {status: counts[status] for status in jobs} == {
        "prioritized": 1,
        "active": 1,
        "completed": 3,
        "failed": 1,
    }
    assert {job["name"] for listed in jobs.values() for job in listed} == {JOB}
    assert sorted(job["returnValue"] for job in jobs["completed"]) == [
        "3 pages, up to block 19,000,000",
        "looked at",
        "to be looked at again in 90 s",
    ]
    assert logs == ["3 pages, up to block 19,000,000"]
    [failed] = jobs["failed"]
    assert failed["failedReason"] == "chain 9 is not served by etherscan"
    assert failed["data"] == {"streamId": 4, "feed": "etherscan/1"}
