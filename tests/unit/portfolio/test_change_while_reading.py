"""A change of provider in the middle of an answer: it is of one generation, and whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from schema.queries.history import OfAddress
from shared.emulator.world import World, WorldConfig
from shared.portfolio.balances import balance_page, balances
from shared.portfolio.history import HistoryFilter, history_page
from shared.sync.source_change import begin_change
from tests.conftest import Database
from tests.rigs import Rig

CHAIN = 1
EARLY, LATE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Move:
    """A wallet whose streams from Blockscout are filled, and wait to replace the live ones."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rig = Rig(database, World(5, WorldConfig(wallets=1, coins=2, blocks=30)))
        self.rig.step(self.rig.watch(source="etherscan"))
        self.subject: dict[str, Any] = {"address_id": self.rig.address_id, "chain_ids": [CHAIN]}
        ids = begin_change(
            database.engine, address_id=self.rig.address_id, chain_id=CHAIN, to="blockscout"
        )
        self.rig.step(ids)

    def finish(self) -> None:
        """Make the new streams live and delete the old ones."""
        while self.tidy():
            pass

    def tidy(self) -> bool:
        """Make the new streams live, and delete one batch of the old ones."""
        return self.rig.engine().tidy()

    def history(self, wanted: HistoryFilter | None = None) -> Any:
        return history_page(
            self.database.engine,
            OfAddress(**self.subject),
            wanted=wanted or HistoryFilter(),
            limit=10_000,
            cursor=None,
        )

    def filtered_history(self) -> Any:
        return self.history(HistoryFilter(since=EARLY, until=LATE))

    def balances(self) -> Any:
        return balances(self.database.engine, **self.subject)

    def balance_page(self) -> Any:
        page = balance_page(self.database.engine, **self.subject, limit=2, cursor=None)
        assert page.next_cursor is not None
        return page

    @contextmanager
    def finished_after(
        self, statements: int, finish: Callable[[], object] | None = None
    ) -> Iterator[list[str]]:
        """Finish behind the given number of statements of whoever reads."""
        seen: list[str] = []

        def count(*args: Any) -> None:
            seen.append(args[2])
            if len(seen) == statements:
                (finish or self.finish)()

        event.listen(self.database.engine, "after_cursor_execute", count)
        yield seen
        event.remove(self.database.engine, "after_cursor_execute", count)


@pytest.mark.parametrize("whole", [True, False], ids=["all deleted", "one batch deleted"])
@pytest.mark.parametrize(
    "read", [Move.history, Move.filtered_history, Move.balances, Move.balance_page]
)
@pytest.mark.parametrize("statements", range(1, 8))
def test_answer_is_of_one_generation_whenever_the_change_comes(
    database: Database, statements: int, read: Callable[[Move], Any], whole: bool
) -> None:
    move = Move(database)
    old = read(move)

    with move.finished_after(statements, move.finish if whole else move.tidy):
        told = read(move)

    move.finish()
    new = read(move)
    assert told in (old, new)
