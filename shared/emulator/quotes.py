"""Prices in the words of DefiLlama, CoinGecko and Binance; the same for the same world.

Native coins and the few real tokens have recorded prices (PROVENANCE.md), the honest coins of a
made-up world have made-up ones, and nobody knows the rest. The three differ a little, as they do.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from shared.emulator.dice import digest
from shared.emulator.provider import JSON_HEADERS, Reply
from shared.emulator.store import RowStore, WorldStore
from shared.sources.quote_catalog import quote_chains

DEFILLAMA = "/defillama/prices/current/"
COINGECKO = "/coingecko/api/v3/simple/"
BINANCE = "/binance/api/v3/ticker/24hr"
# Recorded, see PROVENANCE.md; POL is the recorded WMATIC.
COINS = {
    "ethereum": "2335.266275905969",
    "binancecoin": "594.59",
    "xdai": "0.9993439852364047",
    "polygon-ecosystem-token": "0.270506",
    "avalanche-2": "21.14",
}
USDC = "0.9998761806788521"
TOKENS = {
    (1, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"): USDC,
    (10, "0x0b2c639c533813f4aa9d7837caf62653d097ff85"): USDC,
    (10, "0x7f5c764cbc14f9669b88837ca1490cca17c31607"): USDC,
    (10, "0x4200000000000000000000000000000000000006"): "2335.266275905969",
    (10, "0x4200000000000000000000000000000000000042"): "0.131068",
}
INVALID_SYMBOL = b'{"code":-1121,"msg":"Invalid symbol."}'


class QuoteDesk:
    """Answers for three providers. ``factor`` makes one of them lie, ``age_s`` makes all old."""

    def __init__(self, store: RowStore, now: Callable[[], datetime]) -> None:
        self.calls: Counter[str] = Counter()
        self.factor: dict[str, Decimal] = {
            "defillama": Decimal(1),
            "coingecko": Decimal("1.001"),
            "binance": Decimal("0.999"),
        }
        self.age_s = 60.0
        self._now = now
        self._tokens = dict(TOKENS)
        if isinstance(store, WorldStore):
            for chain_id in store.world.chains:
                for coin in store.world.cast(chain_id).coins:
                    name = "0x" + coin.contract.hex()
                    self._tokens[chain_id, name] = _made_up(chain_id, name)

    def answer(self, path: str, params: Mapping[str, str]) -> Reply | None:
        """The answer to a GET, or None when it is for none of the three."""
        if path.startswith(DEFILLAMA):
            self.calls["defillama"] += 1
            return self._defillama(path.removeprefix(DEFILLAMA).split(","))
        if path.startswith(COINGECKO):
            self.calls["coingecko"] += 1
            return self._coingecko(path.removeprefix(COINGECKO), params)
        if path == BINANCE:
            self.calls["binance"] += 1
            return self._binance(params.get("symbols", "[]"))
        return None

    def price_of(self, chain_id: int, contract: str | None) -> str | None:
        """The true price of a coin or token; ``contract`` is lower-case hex with 0x."""
        if contract is None:
            return COINS[quote_chains()[chain_id].coin]
        return self._tokens.get((chain_id, contract))

    def _defillama(self, names: list[str]) -> Reply:
        chains = {chain.defillama: chain.id for chain in quote_chains().values()}
        found: list[str] = []
        for name in names:
            place, _, rest = name.partition(":")
            is_coin = place == "coingecko"
            price = COINS.get(rest) if is_coin else self._token(chains.get(place), rest)
            if price is not None:
                told = self._told("defillama", price)
                found.append(
                    f'{json.dumps(name)}:{{"decimals":18,"price":{told},"symbol":"X",'
                    f'"timestamp":{self._at_s()},"confidence":0.99}}'
                )
        return _json('{"coins":{' + ",".join(found) + "}}")

    def _coingecko(self, what: str, params: Mapping[str, str]) -> Reply:
        chains = {chain.coingecko: chain.id for chain in quote_chains().values()}
        if what == "price":
            prices = {name: COINS.get(name) for name in params.get("ids", "").split(",")}
        else:
            chain_id = chains.get(what.removeprefix("token_price/"))
            names = params.get("contract_addresses", "").split(",")
            prices = {name: self._token(chain_id, name) for name in names}
        return _json(
            "{"
            + ",".join(
                f'{json.dumps(name.lower())}:{{"usd":{self._told("coingecko", price)},'
                f'"last_updated_at":{self._at_s()}}}'
                for name, price in prices.items()
                if price is not None
            )
            + "}"
        )

    def _binance(self, symbols: str) -> Reply:
        pairs = {chain.pair: COINS[chain.coin] for chain in quote_chains().values() if chain.pair}
        try:
            wanted = json.loads(symbols)
        except ValueError:
            wanted = [None]
        if not wanted or any(symbol not in pairs for symbol in wanted):
            return Reply(400, dict(JSON_HEADERS), INVALID_SYMBOL)
        rows = [
            f'{{"symbol":{json.dumps(symbol)},"lastPrice":"{self._told("binance", pairs[symbol])}",'
            f'"closeTime":{self._at_s() * 1000}}}'
            for symbol in wanted
        ]
        return _json("[" + ",".join(rows) + "]")

    def _token(self, chain_id: int | None, name: str) -> str | None:
        return None if chain_id is None else self.price_of(chain_id, name.lower())

    def _told(self, provider: str, price: str) -> str:
        """The price as this provider has it; an exponent stays one, as JavaScript writes it."""
        factor = self.factor[provider]
        if factor == 1:
            return price
        return (
            str(Decimal(price) * factor).lower()
            if provider != "binance"
            else _fixed(Decimal(price) * factor)
        )

    def _at_s(self) -> int:
        return int((self._now() - timedelta(seconds=self.age_s)).timestamp())


def _made_up(chain_id: int, name: str) -> str:
    """A price from a ten-millionth to some thousands of dollars."""
    seed = int.from_bytes(digest("price", chain_id, name)[:8])
    digits = f"{seed % 9 + 1}.{seed // 9 % 10**15:015d}"
    exponent = ("", "e-7", "e3", "", "e-4")[seed % 5]
    return digits + exponent


def _fixed(price: Decimal) -> str:
    return f"{price:.8f}"


def _json(text: str) -> Reply:
    return Reply(200, dict(JSON_HEADERS), text.encode())
