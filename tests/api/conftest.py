"""An application over each database, asked as a caller on this machine would."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from functions.app import create_app
from shared.clock import Deadline
from shared.http import HttpResponse
from shared.runtime import Runtime
from shared.settings import Settings
from tests.conftest import Database

with warnings.catch_warnings():
    # Starlette's client says that it would rather have httpx2; the product itself uses httpx.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


class NoNetwork:
    """A network on which every call fails."""

    def get(
        self,
        source: str,
        url: str,
        *,
        params: Any,
        deadline: Deadline,
        max_bytes: int = 0,
    ) -> HttpResponse:
        raise AssertionError((source, url, params, deadline, max_bytes))


@dataclass
class Api:
    """The application, a client of it, and what lies below."""

    client: TestClient
    runtime: Runtime
    database: Database

    def get(self, path: str, **options: Any) -> httpx.Response:
        answer: httpx.Response = self.client.get(f"/api{path}", **options)
        return answer

    def post(self, path: str, **options: Any) -> httpx.Response:
        answer: httpx.Response = self.client.post(f"/api{path}", **options)
        return answer

    def add_wallet(self, address: str = ADDRESS, chains: tuple[int, ...] = (1,)) -> int:
        answer = self.post("/wallets", json={"address": address, "chains": list(chains)})
        assert answer.status_code in {200, 201}, answer.text
        wallet_id: int = answer.json()["id"]
        return wallet_id


def make_runtime(database: Database, **settings: Any) -> Runtime:
    chosen = Settings(database_url=SecretStr(database.url), **settings)
    return Runtime.from_settings(chosen, clock=database.clock, http=NoNetwork())


def make_client(runtime: Runtime, host: str = "127.0.0.1", **options: Any) -> TestClient:
    return TestClient(
        create_app(runtime), base_url="http://127.0.0.1", client=(host, 5000), **options
    )


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    runtime = make_runtime(database)
    yield Api(make_client(runtime), runtime, database)
    runtime.close()
