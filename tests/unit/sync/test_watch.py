"""Watching under races, and how streams rest and wake."""

import threading
from collections.abc import Callable

from schema.engine import session_scope
from schema.queries import stream_view
from schema.queries.stream_view import STREAM
from shared.settings import Settings
from shared.sync.start import sync_now, wake
from shared.sync.watch import WatchedWallet, unwatch, watch
from tests.conftest import Database

ACCOUNT = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"


def _watch(
    database: Database, owner: str = "local", chains: tuple[int, ...] = (1,)
) -> WatchedWallet:
    return watch(
        database.engine,
        owner=owner,
        account=ACCOUNT,
        chain_ids=chains,
        label=None,
        source=None,
        settings=Settings(),
        clock=database.clock,
    )


def _all_at_once(works: list[Callable[[], object]]) -> list[Exception]:
    failures: list[Exception] = []
    barrier = threading.Barrier(len(works))

    def guarded(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            work()
        except Exception as exc:  # noqa: BLE001 - told by the test
            failures.append(exc)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_many_who_watch_at_once_share_one_address_and_its_streams(database: Database) -> None:
    owners = ["a", "b", "a", "b", "c"]
    found: list[WatchedWallet] = []

    def join(owner: str) -> Callable[[], object]:
        return lambda: found.append(_watch(database, owner, (1, 10)))

    failures = _all_at_once([join(owner) for owner in owners])

    assert failures == []
    assert len({watched.wallet.address_id for watched in found}) == 1
    assert len({watched.wallet.id for watched in found}) == 3
    assert sum(watched.created for watched in found) == 3
    assert len({watched.stream_ids for watched in found}) == 1


def test_watching_and_leaving_at_once_never_rests_what_is_wanted(database: Database) -> None:
    def leave(wallet_id: int) -> Callable[[], object]:
        return lambda: unwatch(database.engine, owner="a", wallet_id=wallet_id)

    for _ in range(5):
        mine = _watch(database, "a").wallet

        failures = _all_at_once([lambda: _watch(database, "b"), leave(mine.id)])

        assert failures == []
        with database.engine.begin() as connection:
            resting = connection.scalars(STREAM.select().with_only_columns(STREAM.c.resting_since))
            assert set(resting.all()) == {None}


def test_asking_and_marking_in_any_order_never_waits_in_a_circle(database: Database) -> None:
    watched = _watch(database, chains=(1, 10))
    ids = list(watched.stream_ids)

    def mark(order: list[int]) -> None:
        for _ in range(10):
            with session_scope(database.engine) as session:
                stream_view.mark_due(session.connection(), order)

    assert _all_at_once([lambda: mark(ids), lambda: mark(ids[::-1])]) == []


class BrokenQueue:
    """A queue that cannot be reached."""

    def push_many(self, pushes: object) -> None:
        from shared.errors import StorageError  # noqa: PLC0415 - only the fake raises it

        message = f"no queue for {pushes}"
        raise StorageError(message)


def test_a_queue_that_is_down_does_not_lose_a_sync(database: Database) -> None:
    watched = _watch(database)
    with database.engine.begin() as connection:
        connection.execute(STREAM.update().values(state="dead", attempts=8))

    queue = BrokenQueue()
    sync_now(
        database.engine,
        queue,  # type: ignore[arg-type]
        address_id=watched.wallet.address_id,
        chain_ids=[1],
    )
    wake(database.engine, queue, watched.stream_ids)  # type: ignore[arg-type]

    with database.engine.begin() as connection:
        states = connection.scalars(STREAM.select().with_only_columns(STREAM.c.state)).all()
    assert set(states) == {"pending"}
