"""What every provider of prices must do, over real HTTP, whatever its words are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import SecretStr

import shared.sources.quotes
from shared.errors import (
    DeadlineExceededError,
    SourceDeniedError,
    SourceError,
    SourcePayloadError,
    SourceRateLimitedError,
    SourceUnavailableError,
    SourceUnsupportedError,
)
from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import PricedAsset, Quote, QuoteSource
from shared.sources.quote_catalog import quote_chains, quote_providers
from tests.contract.source_cases import KEY, within
from tests.http_server import Server, sends
from tests.quote_dialects import AT_S, Tell, body, name_of

ADAPTERS = sorted(
    path.stem
    for path in Path(shared.sources.quotes.__path__[0]).glob("*.py")
    if not path.stem.startswith("_")
)
ETHER, BNB = PricedAsset(1, None), PricedAsset(56, None)
BOTH = [ETHER, BNB]
AT = datetime.fromtimestamp(AT_S, UTC)
PAGE = b"<!DOCTYPE html><html><head><title>Bad gateway</title></head></html>"


@dataclass
class Desk:
    """A provider and the server that it asks."""

    key: str
    source: QuoteSource
    server: Server

    def tells(self, told: Mapping[PricedAsset, Tell]) -> None:
        words = {name_of(self.key, asset): one for asset, one in told.items()}
        self.server.answers(sends(body(self.key, words)))

    def asks(self, *assets: PricedAsset) -> Mapping[PricedAsset, Quote]:
        return self.source.quotes(list(assets) or BOTH, within(5))


def built(key: str, url: str, http: Http, api_key: str | None = KEY) -> QuoteSource:
    secret = None if api_key is None else SecretStr(api_key)
    options = SourceOptions(base_url=f"{url}/{key}", api_key=secret)
    source: QuoteSource = import_module(f"shared.sources.quotes.{key}").build(http, options)
    return source


@pytest.fixture(params=ADAPTERS)
def desk(request: pytest.FixtureRequest, server: Server, http: Http) -> Desk:
    return Desk(request.param, built(request.param, server.url, http), server)


def test_the_table_and_the_files_name_the_same_providers() -> None:
    assert sorted(quote_providers()) == ADAPTERS


@pytest.mark.parametrize(
    "price",
    ["1e-7", "2335.266275905969", "0.000000123456789012345678901234567", "13146300.613692524",
     "1", "0.8589626580869549", "99999999999999.123456789"],
)  # fmt: skip
def test_prices_come_with_every_digit(desk: Desk, price: str) -> None:
    desk.tells({ETHER: Tell(price)})

    assert desk.asks(ETHER)[ETHER].price_usd == Decimal(price)


def test_the_time_is_the_providers_own_however_old(desk: Desk) -> None:
    desk.tells({ETHER: Tell("5.5"), BNB: Tell("5.5", at_s="1604437689")})

    found = desk.asks()

    assert found[ETHER].at == AT
    assert found[BNB].at == datetime(2020, 11, 3, 21, 8, 9, tzinfo=UTC)


def test_every_price_has_a_confidence(desk: Desk) -> None:
    desk.tells({ETHER: Tell("5.5")})

    assert 0 < desk.asks(ETHER)[ETHER].confidence <= 1


def test_what_is_not_known_is_absent(desk: Desk) -> None:
    desk.tells({ETHER: Tell("5.5")})
    assert list(desk.asks()) == [ETHER]

    desk.tells({})
    assert desk.asks() == {}


@pytest.mark.parametrize(
    "nonsense", ["0", "-1", "0.0", "-0.000001", "1e30", "1e-40", "1e999999", '"NaN"', '"Infinity"',
                 '"-Infinity"', "1." + "3" * 80],
)  # fmt: skip
def test_a_price_that_cannot_be_is_refused_and_its_neighbour_kept(
    desk: Desk, nonsense: str
) -> None:
    desk.tells({ETHER: Tell(nonsense), BNB: Tell("594.59")})

    assert {asset: one.price_usd for asset, one in desk.asks().items()} == {BNB: Decimal("594.59")}


@pytest.mark.parametrize("at_s", ["0", "-5", "1", "1776255428000", "9999999999999"])
def test_a_price_of_no_possible_time_is_refused(desk: Desk, at_s: str) -> None:
    desk.tells({ETHER: Tell("5.5", at_s=at_s), BNB: Tell("594.59")})

    assert list(desk.asks()) == [BNB]


@pytest.mark.parametrize("wrong", ["true", "[]", "{}", '"abc"', '""'])
def test_a_price_of_another_type_is_an_error(desk: Desk, wrong: str) -> None:
    desk.tells({ETHER: Tell(wrong), BNB: Tell("594.59")})

    with pytest.raises(SourcePayloadError):
        desk.asks()


@pytest.mark.parametrize("wrong", ['"2026"', "[]", "1.5", "true"])
def test_a_time_of_another_type_is_an_error(desk: Desk, wrong: str) -> None:
    desk.tells({ETHER: Tell("5.5", at_s=wrong)})

    with pytest.raises(SourcePayloadError):
        desk.asks(ETHER)


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (500, b"oops", SourceUnavailableError),
        (502, PAGE, SourceUnavailableError),
        (200, PAGE, SourceUnavailableError),
        (200, b"", SourceUnavailableError),
        (200, b"[" * 5000, SourceError),
        (200, b'{"coins": NaN}', SourceError),
        (200, b"\xff\xfe", SourceUnavailableError),
        (200, b"null", SourcePayloadError),
        (200, b"5", SourcePayloadError),
        (200, b'"ok"', SourcePayloadError),
        (200, b'{"error": "too many"}', SourcePayloadError),
        (200, b'{"status": {"error_code": 429, "error_message": "x"}}', SourcePayloadError),
        (400, b'{"code": -1121, "msg": "Invalid symbol."}', SourcePayloadError),
        (404, b"", SourcePayloadError),
        (401, b'{"status": {"error_code": 10002}}', SourceDeniedError),
        (403, PAGE, SourceDeniedError),
        (418, b"{}", SourceRateLimitedError),
        (451, b"{}", SourceUnsupportedError),
    ],
)
def test_no_error_is_ever_an_answer(
    desk: Desk, status: int, answer: bytes, expected: type[SourceError]
) -> None:
    desk.server.answers(sends(answer, status))

    with pytest.raises(SourceError) as caught:
        desk.asks()

    assert isinstance(caught.value, expected), caught.value
    assert caught.value.source == desk.key


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_cut_answer_is_an_error(desk: Desk, share: float) -> None:
    whole = body(desk.key, {name_of(desk.key, asset): Tell("5.5") for asset in BOTH})
    desk.server.answers(sends(whole[: int(len(whole) * share)]))

    with pytest.raises(SourceUnavailableError):
        desk.asks()


def test_a_request_to_wait_says_how_long(desk: Desk) -> None:
    desk.server.answers(sends(b"{}", 429, {"retry-after": "7"}))
    with pytest.raises(SourceRateLimitedError) as asked_to_wait:
        desk.asks()
    desk.server.answers(sends(b"{}", 418, {"retry-after": "300"}))
    with pytest.raises(SourceRateLimitedError) as banned:
        desk.asks()

    assert (asked_to_wait.value.retry_after_s, banned.value.retry_after_s) == (7.0, 300.0)


def test_the_key_is_never_repeated(desk: Desk) -> None:
    desk.server.answers(sends(f"bad key {KEY}".encode(), 401))

    with pytest.raises(SourceDeniedError) as caught:
        desk.asks()

    assert KEY not in str(caught.value)
    assert f"SOURCE__{desk.key.upper()}__API_KEY" in caught.value.how_to_fix


def test_no_time_left_asks_nothing(desk: Desk) -> None:
    with pytest.raises(DeadlineExceededError):
        desk.source.quotes(BOTH, within(0))

    assert desk.server.seen == []


def test_one_coin_of_many_chains_is_asked_for_once_and_priced_everywhere(desk: Desk) -> None:
    desk.tells({ETHER: Tell("5.5")})
    on_many = [PricedAsset(chain_id, None) for chain_id in (1, 10, 8453)]

    found = desk.source.quotes(on_many, within(5))

    assert set(found) == set(on_many)
    name = name_of(desk.key, ETHER)
    assert desk.server.seen[-1].count(name) == 1


def test_batches_hold_each_asset_that_it_can_price_once(desk: Desk) -> None:
    natives = [PricedAsset(chain_id, None) for chain_id in quote_chains()]
    tokens = [PricedAsset(chain, n.to_bytes(20)) for n in range(1, 260) for chain in (1, 10)]
    elsewhere = [PricedAsset(11155111, None), PricedAsset(424242, b"\x01" * 20)]

    batches = desk.source.batches([*elsewhere, *tokens, *natives])

    found = [asset for batch in batches for asset in batch]
    expected = {asset for asset in natives if desk.key != "binance" or asset.chain_id != 100}
    if desk.key != "binance":
        expected |= set(tokens)
    assert len(found) == len(set(found))
    assert set(found) == expected
    limit = quote_providers()[desk.key].batch
    assert all(len({name_of(desk.key, asset) for asset in batch}) <= limit for batch in batches)
    assert desk.source.batches([]) == []
