"""What cannot be watched is refused with the reason, before anything is written."""

import pytest

from shared.errors import InvalidInputError
from shared.settings import Settings
from shared.sync.watch import watch
from tests import truth
from tests.conftest import Database

WALLET = bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")


@pytest.mark.parametrize(
    ("chain_ids", "source", "why"),
    [
        ([], None, "at least one chain"),
        ([999_999], None, "not known"),
        ([1], "nobody", "not known"),
        ([100], "routescan", "does not serve chain 100"),
    ],
)
def test_a_feed_that_nobody_serves_is_refused(
    database: Database, chain_ids: list[int], source: str | None, why: str
) -> None:
    with pytest.raises(InvalidInputError, match=why):
        watch(
            database.engine,
            owner="local",
            account=truth.hexed(WALLET),
            chain_ids=chain_ids,
            label=None,
            source=source,
            settings=Settings(),
            clock=database.clock,
        )

    assert truth.streams(database.engine, WALLET, 1) == []
