"""Prices over HTTP: of what is held, with the balances, and refreshed by cron."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from schema.queries.stream_view import STREAM
from schema.tables import Balance, Price
from shared.emulator.emulator import Emulator
from shared.emulator.faults import fault
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.quotes import COINS
from shared.emulator.store import WorldStore
from shared.emulator.world import World
from shared.runtime import Runtime
from shared.settings import Settings
from tests.api.conftest import Api, make_client, make_runtime
from tests.conftest import Database
from tests.factories import make_asset, save
from tests.fakes import START
from tests.rigs import local_sources

LINE = {
    "chain_id", "contract", "symbol", "state", "price_usd", "source", "price_at", "age_s", "stale",
    "confidence", "flag",
}  # fmt: skip
REPORT = {
    "asked", "priced", "unknown", "unanswered", "flagged", "spam", "left", "calls", "problems"
}  # fmt: skip


def _hold(api: Api, kind: str, *assets: Any, amount: int = 10**18) -> list[int]:
    """Have the wallet's stream of this kind on Ethereum hold some assets; their ids."""
    with api.database.engine.begin() as connection:
        found = STREAM.select().where(STREAM.c.kind == kind, STREAM.c.chain_id == 1)
        stream_id = connection.execute(found).mappings().first()["id"]  # type: ignore[index]
    saved = [asset.id for asset in save(api.database.engine, *assets)]
    save(
        api.database.engine,
        *[Balance(stream_id=stream_id, asset_id=i, amount=amount, movements=1) for i in saved],
    )
    return saved


def _price(asset_id: int, **changes: Any) -> Price:
    defaults: dict[str, Any] = {
        "asset_id": asset_id,
        "state": "priced",
        "price_usd": Decimal("2335.266275905969"),
        "source": "defillama",
        "priced_at": START,
        "confidence": Decimal("0.99"),
        "next_ask_at": START,
    }
    return Price(**{**defaults, **changes})


def test_balances_carry_price_and_value_with_every_digit(api: Api) -> None:
    wallet_id = api.add_wallet()
    (ether,) = _hold(api, "native", make_asset(contract=None), amount=1_520_000_000_000_000_001)
    save(api.database.engine, _price(ether))
    api.database.clock.advance(60)

    (item,) = api.get(f"/wallets/{wallet_id}/balances").json()["items"]

    assert item["price"] == "2335.266275905969"
    assert item["value"] == "3549.604739377072882335266275905969"
    assert item["price_at"] == "2024-01-01T00:00:00Z"
    assert item["stale"] is False


def test_a_missing_price_is_null_and_never_zero(api: Api) -> None:
    wallet_id = api.add_wallet()
    _hold(api, "native", make_asset(contract=None))
    (unknown,) = _hold(api, "erc20", make_asset())
    save(
        api.database.engine,
        Price(asset_id=unknown, state="unknown", misses=3, next_ask_at=START),
    )
    (unscaled,) = _hold(api, "erc20", make_asset(decimals=None))
    save(api.database.engine, _price(unscaled))
    _hold(api, "erc721", make_asset(standard="erc721", token_id=1))

    items = api.get(f"/wallets/{wallet_id}/balances").json()["items"]

    shown = [(i["price"], i["value"], i["price_at"], i["stale"]) for i in items]
    nothing = (None, None, None, None)
    assert sorted(shown, key=str) == sorted(
        [nothing, nothing, nothing, ("2335.266275905969", None, "2024-01-01T00:00:00Z", False)],
        key=str,
    )


def test_an_old_price_is_served_with_its_age_and_never_as_fresh(api: Api) -> None:
    wallet_id = api.add_wallet()
    (ether,) = _hold(api, "native", make_asset(contract=None))
    save(api.database.engine, _price(ether))
    api.database.clock.advance(3600)
    assert api.get("/prices").json()["items"][0]["stale"] is False

    api.database.clock.advance(1)

    (line,) = api.get("/prices").json()["items"]
    assert (line["stale"], line["age_s"]) == (True, 3601)
    (balance,) = api.get(f"/wallets/{wallet_id}/balances").json()["items"]
    assert balance["stale"] is True


def test_prices_are_of_everything_held_once_and_nothing_else(api: Api) -> None:
    api.add_wallet()
    api.add_wallet("0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359")
    ether, token = _hold(api, "native", make_asset(contract=None), make_asset(symbol="TKN"))
    _hold(api, "erc721", make_asset(standard="erc721", token_id=1))
    _hold(api, "erc20", make_asset(), amount=0)
    with api.database.engine.begin() as connection:
        streams = connection.execute(STREAM.select().where(STREAM.c.kind == "erc20")).all()
    save(
        api.database.engine,
        *[Balance(stream_id=row.id, asset_id=token, amount=7, movements=1) for row in streams],
    )
    flagged = _price(ether, flag="disagreement", confidence=Decimal("0.3"))
    save(api.database.engine, flagged)

    answer = api.get("/prices").json()

    assert answer["next_cursor"] is None
    assert [set(line) for line in answer["items"]] == [LINE, LINE]
    first, second = answer["items"]
    assert (first["symbol"], first["source"], first["flag"], first["confidence"]) == (
        "ETH", "defillama", "disagreement", "0.3"
    )  # fmt: skip
    assert (second["symbol"], second["state"], second["price_usd"]) == ("TKN", "new", None)


def test_prices_are_paged(api: Api) -> None:
    api.add_wallet()
    _hold(api, "erc20", *[make_asset(symbol=f"T{n}") for n in range(7)])
    found: list[str] = []
    cursor = "0"
    while cursor is not None:
        page = api.get("/prices", params={"limit": 3, "cursor": cursor}).json()
        assert len(page["items"]) <= 3
        found += [line["symbol"] for line in page["items"]]
        cursor = page["next_cursor"]

    assert found == [f"T{n}" for n in range(7)]
    assert api.get("/prices", params={"cursor": "x"}).status_code == 422


def test_a_removed_wallet_has_no_prices(api: Api) -> None:
    wallet_id = api.add_wallet()
    _hold(api, "native", make_asset(contract=None))
    assert api.client.delete(f"/api/wallets/{wallet_id}").status_code == 204

    assert api.get("/prices").json()["items"] == []


@dataclass
class Priced:
    """The application in front of a made-up world that tells prices."""

    api: Api
    emulator: Emulator


@pytest.fixture
def priced(database: Database) -> Iterator[Priced]:
    world = World(3)
    emulator = Emulator(WorldStore(world), now=database.clock.now)
    http = EmulatorHttp(emulator, database.clock, latency_s=0.1)
    settings = Settings(database_url=SecretStr(database.url), source=local_sources())
    runtime = Runtime.from_settings(settings, clock=database.clock, http=http)
    yield Priced(Api(make_client(runtime), runtime, database), emulator)
    runtime.close()


def test_cron_refreshes_what_is_held(priced: Priced) -> None:
    api = priced.api
    wallet_id = api.add_wallet()
    coin = World(3).cast().coins[0]
    _hold(
        api,
        "native",
        make_asset(contract=None),
        make_asset(contract=coin.contract),
        make_asset(),
        make_asset(name="claim at https://bait.example"),
    )

    report = api.post("/internal/prices").json()

    assert set(report) == REPORT
    assert report == {
        "asked": 3, "priced": 2, "unknown": 1, "unanswered": 0, "flagged": 0, "spam": 1, "left": 0,
        "calls": {"defillama": 1, "binance": 1}, "problems": [],
    }  # fmt: skip
    items = api.get(f"/wallets/{wallet_id}/balances").json()["items"]
    told = {item["contract"]: item["price"] for item in items}
    assert told[None] == COINS["ethereum"]
    assert sum(price is not None for price in told.values()) == 2
    again = api.get("/internal/prices").json()
    assert (again["asked"], again["calls"], again["left"]) == (0, {}, 0)


@pytest.mark.parametrize("name", ["http_500", "http_502", "html_200", "truncated", "dropped"])
def test_a_failing_provider_leaves_prices_as_they_were(priced: Priced, name: str) -> None:
    api = priced.api
    api.add_wallet()
    coin = World(3).cast().coins[0]
    _hold(api, "erc20", make_asset(contract=coin.contract))
    priced.emulator.plan.push(fault(name))

    report = api.post("/internal/prices").json()

    assert (report["unanswered"], report["left"], report["unknown"]) == (1, 1, 0)
    assert [problem["source"] for problem in report["problems"]] == ["defillama"]
    api.database.advance(61)
    assert api.post("/internal/prices").json()["priced"] == 1


def test_providers_that_disagree_are_flagged(priced: Priced) -> None:
    api = priced.api
    api.add_wallet()
    _hold(api, "native", make_asset(contract=None))
    priced.emulator.quotes.factor["binance"] = Decimal(2)

    assert api.post("/internal/prices").json()["flagged"] == 1
    assert api.get("/prices").json()["items"][0]["flag"] == "disagreement"


def test_what_a_provider_tells_late_is_stale_at_once(priced: Priced) -> None:
    api = priced.api
    api.add_wallet()
    _hold(api, "native", make_asset(contract=None))
    priced.emulator.quotes.age_s = timedelta(hours=3).total_seconds()

    assert api.post("/internal/prices").json()["priced"] == 1
    (line,) = api.get("/prices").json()["items"]
    assert (line["stale"], line["age_s"]) == (True, 10_800)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "cron", "Bearer s3cret"])
def test_without_the_cron_secret_nothing_is_refreshed(
    database: Database, method: str, header: str | None
) -> None:
    secrets = {"cron_secret": SecretStr("cr0n"), "api_token": SecretStr("s3cret")}
    runtime = make_runtime(database, **secrets)
    headers = {} if header is None else {"authorization": header}

    answer = make_client(runtime).request(method, "/api/internal/prices", headers=headers)
    runtime.close()

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert "cr0n" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_cron_secret_opens_from_anywhere(database: Database, method: str) -> None:
    runtime = make_runtime(database, cron_secret=SecretStr("cr0n"))
    client = make_client(runtime, "203.0.113.7")
    headers = {"authorization": "Bearer cr0n"}

    answer = client.request(method, "/api/internal/prices", headers=headers)
    elsewhere = client.get("/api/wallets", headers=headers)
    runtime.close()

    assert answer.status_code == 200
    assert answer.json()["asked"] == 0
    assert elsewhere.status_code == 401


@pytest.mark.parametrize("secret", [None, SecretStr("")])
def test_without_a_secret_only_this_machine_refreshes(
    database: Database, secret: SecretStr | None
) -> None:
    runtime = make_runtime(database, cron_secret=secret, api_token=SecretStr("s3cret"))

    here = make_client(runtime).post("/api/internal/prices")
    there = make_client(runtime, "203.0.113.7").post("/api/internal/prices")
    proxied = make_client(runtime).get(
        "/api/internal/prices", headers={"x-forwarded-for": "1.2.3.4"}
    )
    runtime.close()

    assert (here.status_code, there.status_code, proxied.status_code) == (200, 401, 401)
    assert "CRON_SECRET" in there.json()["fix"]
