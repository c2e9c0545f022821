"""Fields of Etherscan-like rows: everything is text, and nothing is believed unseen."""

import unicodedata
from functools import lru_cache

Text = str | int | None

UINT256 = 2**256 - 1
LONGEST_NUMBER = 78
HIGHEST_BLOCK = 2**40
HIGHEST_TX_INDEX = 2**23 - 1  # a position keeps the index in the bits above the low 40
HIGHEST_DECIMALS = 255
SYMBOL_CHARS = 64
NAME_CHARS = 128
JOINER = "\u200d"
UNWANTED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class BadFieldError(Exception):
    """A field that we refuse to guess about."""

    def __init__(self, field: str, value: object) -> None:
        super().__init__(f"{field} is {shortened(value)}")


def shortened(value: object) -> str:
    """A value as it can stand in a message: printable and short."""
    shown = repr(value)
    return shown if len(shown) <= SYMBOL_CHARS else f"{shown[:SYMBOL_CHARS]}.."


def number(field: str, value: Text, highest: int = UINT256) -> int:
    """A whole number from 0 to ``highest``."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        found = int(value) if len(value) <= LONGEST_NUMBER else highest + 1
    elif isinstance(value, int) and not isinstance(value, bool):
        found = value
    else:
        raise BadFieldError(field, value)
    if not 0 <= found <= highest:
        raise BadFieldError(field, value)
    return found


def address(field: str, value: Text) -> bytes | None:
    """The 20 bytes of a hex address; None where there is none."""
    return None if value in {None, ""} else required_address(field, value)


@lru_cache(maxsize=4096)
def required_address(field: str, value: Text) -> bytes:
    """The 20 bytes of a hex address that must be there; a page repeats its addresses."""
    return _hex(field, value, 20)


def digest(field: str, value: Text) -> bytes:
    """The 32 bytes of a hash."""
    return _hex(field, value, 32)


@lru_cache(maxsize=4096)
def optional_digest(field: str, value: Text) -> bytes | None:
    """The 32 bytes of a hash; None where there is none. The rows of a block repeat its hash."""
    return None if value in {None, ""} else _hex(field, value, 32)


def decimals(value: Text) -> int | None:
    """Decimals of a token; None where the contract says nothing that can be true."""
    try:
        return number("tokenDecimal", value, HIGHEST_DECIMALS)
    except BadFieldError:
        return None


def symbol(value: Text) -> str | None:
    """A token's symbol, fit for a database and a page."""
    return None if value is None else cleaned(str(value), SYMBOL_CHARS)


def name(value: Text) -> str | None:
    """A token's name, fit for a database and a page."""
    return None if value is None else cleaned(str(value), NAME_CHARS)


@lru_cache(maxsize=4096)
def cleaned(text: str, longest: int) -> str | None:
    """Without NUL, control, direction and lone surrogate characters, cut; None when empty.

    Postgres refuses NUL and lone surrogates, and one such name would fail a whole page.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(
            char for char in text if char == JOINER or unicodedata.category(char) not in UNWANTED
        )
    return text[:longest].strip() or None


def _hex(field: str, value: Text, size: int) -> bytes:
    """Exactly ``size`` bytes of 0x-prefixed hex."""
    if isinstance(value, str) and len(value) == 2 + 2 * size and value.startswith("0x"):
        try:
            found = bytes.fromhex(value[2:])
        except ValueError:
            raise BadFieldError(field, value) from None
        if len(found) == size:
            return found
    raise BadFieldError(field, value)
