"""How the three providers differ in what they say around the rows.

Texts are recorded ones or those of the providers' documentation; the request forms are those of
their public servers.
"""

import re
from typing import Any, NamedTuple

from shared.emulator.events import ERC20, ERC721, ERC1155, INTERNAL
from shared.emulator.wire import BLOCKSCOUT, ETHERSCAN, ROUTESCAN

NO_TRANSACTIONS = "No transactions found"
WINDOW_ROWS = 10_000
WINDOW_TEXT = "Result window is too large, PageNo x Offset size must be less than or equal to 10000"
BAD_ADDRESS_TEXT = "Error! Invalid address format"
BAD_ACTION_TEXT = "Error! Missing Or invalid Action name"
BAD_MODULE_TEXT = "Error! Missing Or invalid Module name"
BAD_NUMBER_TEXT = "Error! Invalid parameter value"
UNKNOWN_CHAIN_TEXT = (
    "Missing or unsupported chainid parameter (required for v2 api), please see "
    "https://api.etherscan.io/v2/chainlist for the list of supported chainids"
)
_ROUTESCAN_PATH = re.compile(r"/routescan/v2/network/[^/]+/evm/([^/]+)/etherscan/api")


class Dialect(NamedTuple):
    """One provider's habits."""

    key: str
    descending: bool
    page_cap: int
    empty_texts: dict[str, str]
    says_ok_when_empty: bool = False

    def empty(self, action: str) -> dict[str, Any]:
        """The positive answer that there is nothing."""
        if self.says_ok_when_empty and action != INTERNAL:
            return {"status": "1", "message": "OK", "result": []}
        text = self.empty_texts.get(action, NO_TRANSACTIONS)
        return self.envelope("0", text, [])

    def envelope(self, status: str, message: str, result: Any) -> dict[str, Any]:
        """Status, message and result in the provider's order."""
        if self.key == BLOCKSCOUT:
            return {"message": message, "result": result, "status": status}
        return {"status": status, "message": message, "result": result}

    def error(self, text: str) -> dict[str, Any]:
        """An error in the provider's form: Etherscan says NOTOK, the others the text itself."""
        if self.key == ETHERSCAN:
            return self.envelope("0", "NOTOK", text)
        return self.envelope("0", text, None)

    def unknown_chain(self) -> dict[str, Any]:
        """The answer for a chain that is not served."""
        if self.key == ETHERSCAN:
            return self.envelope("0", "NOTOK", UNKNOWN_CHAIN_TEXT)
        text = "chain not supported" if self.key == ROUTESCAN else "Chain not supported"
        return self.envelope("0", text, None)


DIALECTS = {
    ETHERSCAN: Dialect(ETHERSCAN, descending=False, page_cap=1000, empty_texts={}),
    BLOCKSCOUT: Dialect(
        BLOCKSCOUT,
        descending=True,
        page_cap=WINDOW_ROWS,
        empty_texts={
            INTERNAL: "No internal transactions found",
            ERC20: "No token transfers found",
            ERC721: "No token transfers found",
            ERC1155: "No token transfers found",
        },
    ),
    # Recorded: an empty txlist or tokentx is status 1, an empty txlistinternal is status 0.
    ROUTESCAN: Dialect(
        ROUTESCAN,
        descending=False,
        page_cap=WINDOW_ROWS,
        empty_texts={},
        says_ok_when_empty=True,
    ),
}


def addressed(path: str, params: dict[str, str]) -> tuple[Dialect, int | None] | None:
    """Which provider and chain a request speaks to; None where no provider answers."""
    routed = _ROUTESCAN_PATH.fullmatch(path.rstrip("/"))
    if routed:
        return DIALECTS[ROUTESCAN], number_of(routed[1])
    chain = number_of(params.get("chainid") or params.get("chain_id") or "")
    known = {
        "/etherscan/v2/api": ETHERSCAN,
        "/v2/api": ETHERSCAN,
        "/api": ETHERSCAN,
        "/blockscout/v2/api": BLOCKSCOUT,
    }
    key = known.get(path.rstrip("/"))
    return None if key is None else (DIALECTS[key], chain)


def number_of(text: str) -> int | None:
    """A whole number, or None."""
    return int(text) if text.isascii() and text.isdigit() else None
