import pytest

from tests.conftest import Database
from tests.unit.portfolio.ledger import Ledger, make_ledger


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return make_ledger(database.engine)
