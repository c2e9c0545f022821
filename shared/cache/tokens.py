"""What a token is called, where no feed says it: asked for once a month, or once a day in vain.

The feeds of today's providers name the tokens of their rows, and the asset table keeps that for
good: this is for sources whose feeds do not (docs/adr/0007-caches.md).
"""

from collections.abc import Callable

import msgspec

from shared.cache.base import Key
from shared.cache.fill import Fills

KNOWN_S = 30 * 86_400.0
UNKNOWN_S = 86_400.0
VERSION = 1


class Token(msgspec.Struct, frozen=True):
    """What a contract says of itself; a part that it does not tell is None."""

    symbol: str | None
    name: str | None
    decimals: int | None


class TokenCache:
    """Tokens by chain and contract; that there is none is remembered too, for a shorter time."""

    def __init__(self, fills: Fills) -> None:
        self._fills = fills

    def token(
        self, chain_id: int, contract: bytes, ask: Callable[[], Token | None]
    ) -> Token | None:
        """The token, from ``ask`` when it is not known; None: ``ask`` found none.

        What ``ask`` raises is remembered by nobody.
        """
        return self._fills.filled(
            self._key(chain_id, contract), Token, ask, ttl_s=KNOWN_S, nothing_ttl_s=UNKNOWN_S
        )

    def forget(self, chain_id: int, contract: bytes) -> None:
        """Have it asked for again."""
        self._fills.cache.drop(self._key(chain_id, contract))

    @staticmethod
    def _key(chain_id: int, contract: bytes) -> Key:
        return Key("token", VERSION, (chain_id, contract.hex()))
