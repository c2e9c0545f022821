"""Each provider's habits: recorded answers, keys, batches, what it is asked and how."""

from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from shared.errors import SourcePayloadError
from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import PricedAsset
from shared.sources.quote_catalog import quote_chains
from shared.sources.quotes import binance, coingecko, defillama
from tests.contract.source_cases import KEY, within
from tests.contract.test_quote_sources import built
from tests.http_server import Server, sends
from tests.quote_dialects import AT_S, Tell, body, facts

# The contracts of the coins whose prices were recorded by id.
CONTRACTS = {
    "usd-coin": "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
    "chainlink": "514910771af9ca656af840dff83e8264ecf986ca",
    "1inch": "111111111117dc0aa78b770fa6a738034120c302",
    "dai": "6b175474e89094c44da98b954eedeac495271d0f",
    "woo-network": "4691937a7508860f876c9c0a2a617e7d9e945d4b",
}
NATIVES = {"ethereum": 1, "binancecoin": 56, "avalanche-2": 43114}
ETHER = PricedAsset(1, None)
TOKEN = PricedAsset(1, b"\xab" * 20)


def _asset(name: str) -> PricedAsset:
    place, _, rest = name.partition(":")
    for chain in quote_chains().values():
        if place == "coingecko" and chain.coin == rest:
            return PricedAsset(chain.id, None)
        if place == chain.defillama:
            return PricedAsset(chain.id, bytes.fromhex(rest.removeprefix("0x")))
    raise AssertionError(name)


@pytest.mark.parametrize("fact", facts("defillama"), ids=lambda fact: fact["recording"])
def test_defillama_is_read_as_recorded(server: Server, http: Http, fact: dict[str, object]) -> None:
    told = [tuple(one) for one in fact["told"]]  # type: ignore[attr-defined]
    words = {
        name: Tell(price, str(at_s), "null" if confidence is None else confidence)
        for name, price, at_s, confidence, _, _ in told
    }
    server.answers(sends(body("defillama", words)))
    asked = [_asset(name) for name in fact["asked"]]  # type: ignore[attr-defined]

    found = built("defillama", server.url, http).quotes(asked, within(5))

    assert {
        asset: (str(one.price_usd), int(one.at.timestamp())) for asset, one in found.items()
    } == {_asset(name): (price, at_s) for name, price, at_s, *_ in told}
    for name, _, _, confidence, _, _ in told:
        assert found[_asset(name)].confidence == Decimal(confidence or "0.5")


def test_defillama_is_asked_in_lower_case_and_answers_in_any(server: Server, http: Http) -> None:
    name = "ethereum:0x" + "Ab" * 20
    server.answers(sends(body("defillama", {name: Tell("1.5")})))

    found = built("defillama", server.url, http).quotes([TOKEN, ETHER], within(5))

    assert found[TOKEN].price_usd == Decimal("1.5")
    path = f"/defillama/prices/current/ethereum:0x{'ab' * 20},coingecko:ethereum"
    assert server.seen == [f"{path}?searchWidth=4h"]


@pytest.mark.parametrize(("recording", "coin", "price"), facts("coingecko"))
def test_coingecko_is_read_as_recorded(
    server: Server, http: Http, recording: str, coin: str, price: str
) -> None:
    contract = CONTRACTS.get(coin)
    asset = (
        PricedAsset(NATIVES[coin], None)
        if contract is None
        else PricedAsset(1, bytes.fromhex(contract))
    )
    name = coin if contract is None else f"0x{contract}"
    server.answers(sends(body("coingecko", {name: Tell(price)})))

    found = built("coingecko", server.url, http).quotes([asset], within(5))

    assert str(found[asset].price_usd) == price, recording
    assert found[asset].at.timestamp() == AT_S


def test_coingecko_asks_coins_by_id_and_tokens_by_chain(server: Server, http: Http) -> None:
    source = built("coingecko", server.url, http)
    server.answers(sends(b"{}"))
    other = PricedAsset(10, b"\xcd" * 20)

    for batch in source.batches([TOKEN, other, ETHER]):
        source.quotes(batch, within(5))

    asked = [urlsplit(path) for path in server.seen]
    assert [parts.path for parts in asked] == [
        "/coingecko/simple/price",
        "/coingecko/simple/token_price/ethereum",
        "/coingecko/simple/token_price/optimistic-ethereum",
    ]
    wanted = parse_qs(asked[1].query)
    assert wanted == {
        "contract_addresses": ["0x" + "ab" * 20],
        "vs_currencies": ["usd"],
        "include_last_updated_at": ["true"],
        "precision": ["full"],
        "x_cg_demo_api_key": [KEY],
    }


def test_a_paid_key_goes_by_its_own_name(server: Server, http: Http) -> None:
    options = SourceOptions(base_url=f"{server.url}/pro-api.cg/v3", api_key=SecretStr(KEY))
    server.answers(sends(b"{}"))

    coingecko.build(http, options).quotes([ETHER], within(5))

    assert f"x_cg_pro_api_key={KEY}" in server.seen[0]


def test_coingecko_without_a_key_is_asked_for_coins_only(http: Http) -> None:
    source = coingecko.build(http, SourceOptions())

    assert source.batches([TOKEN, ETHER]) == [[ETHER]]


def test_the_operator_may_say_how_many_go_into_a_request(http: Http) -> None:
    tokens = [PricedAsset(1, n.to_bytes(20)) for n in range(1, 8)]
    options = SourceOptions(page_rows=3)

    for adapter in (coingecko, defillama):
        sizes = [len(batch) for batch in adapter.build(http, options).batches(tokens)]
        assert sizes == [3, 3, 1]


def test_a_token_without_a_price_in_dollars_is_absent(server: Server, http: Http) -> None:
    name = "0x" + "ab" * 20
    source = built("coingecko", server.url, http)
    for nothing in (f'{{"{name}": {{}}}}', f'{{"{name}": {{"usd": null}}}}'):
        server.answers(sends(nothing.encode()))
        assert source.quotes([TOKEN], within(5)) == {}


@pytest.mark.parametrize("key", ["coingecko", "binance"])
def test_what_was_not_asked_for_is_an_error(server: Server, http: Http, key: str) -> None:
    server.answers(sends(body(key, {"DOGEUSDT": Tell("0.1")})))

    with pytest.raises(SourcePayloadError, match="not asked for"):
        built(key, server.url, http).quotes([ETHER], within(5))


def test_binance_is_asked_for_pairs_with_their_time(server: Server, http: Http) -> None:
    server.answers(sends(b"[]"))

    binance.build(http, SourceOptions(base_url=server.url)).quotes(
        [ETHER, PricedAsset(56, None)], within(5)
    )

    parts = urlsplit(server.seen[0])
    assert parts.path == "/api/v3/ticker/24hr"
    assert parse_qs(parts.query) == {"symbols": ['["ETHUSDT","BNBUSDT"]'], "type": ["MINI"]}
