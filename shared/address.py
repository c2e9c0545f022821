"""EVM addresses as people type them: checked before anything is asked about them.

EIP-55 (https://eips.ethereum.org/EIPS/eip-55): the case of the letters is a checksum when mixed.
"""

import re
from functools import lru_cache

from sha3 import keccak_256

from shared.errors import InvalidAddressError

HEX_DIGITS = 40
HASH_DIGITS = 64
SEED_WORDS = 12
LAST_PRECOMPILE = 0xFF
BURN = frozenset(
    {
        "0x000000000000000000000000000000000000dead",
        "0xdead000000000000000000000000000000000000",
        "0xdead000000000000000042069420694206942069",
        "0xdeaddeaddeaddeaddeaddeaddeaddeaddeaddead",
        "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0000",
        "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
    }
)
HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
NAME = re.compile(r"[^\s.]+(\.[^\s.]+)+")

Objection = tuple[str, str] | None  # the reason and the fix


def parse_account(text: str) -> str:
    """The address in lower-case hex.

    Raises:
        InvalidAddressError: It cannot be, or is unlikely to be, somebody's address; says why and
            never repeats what was typed, which may be a secret.
    """
    typed = text.strip()
    objection = _not_an_address(typed) or _misspelt(typed) or _unlikely(typed.lower())
    if objection is not None:
        reason, fix = objection
        raise InvalidAddressError(reason, fix=fix)
    return typed.lower()


@lru_cache(maxsize=65_536)
def checksum_address(account: bytes | str) -> str:
    """The address as EIP-55 writes it, for display."""
    digits = account.hex() if isinstance(account, bytes) else account.removeprefix("0x").lower()
    digest = keccak_256(digits.encode()).hexdigest()
    marked = zip(digits, digest, strict=False)
    return "0x" + "".join(digit.upper() if mark >= "8" else digit for digit, mark in marked)


def _not_an_address(typed: str) -> Objection:
    """What people paste by mistake."""
    digits = typed.lower().removeprefix("0x")
    secret = len(digits) == HASH_DIGITS and HEX.fullmatch(digits)
    if secret or len(typed.split()) >= SEED_WORDS:
        reason = (
            "this looks like a transaction hash or a private key, not an address;"
            " never paste a private key or a seed phrase anywhere"
        )
        return reason, "Give the address: 0x and 40 digits. If it was a key, move the funds."
    if NAME.fullmatch(typed):
        reason = "this looks like a name (ENS); it must be an address"
        return reason, "Look the name up in your wallet and give the address it stands for."
    return None


def _misspelt(typed: str) -> Objection:
    """Everything that an address must be and this is not."""
    digits = typed.removeprefix("0x")
    reason = None
    if not typed:
        reason = "the address is empty"
    elif typed == digits:
        reason = "an address starts with 0x"
    elif not HEX.fullmatch(digits):
        reason = "an address is 0x and hexadecimal digits (0-9, a-f), nothing else"
    elif len(digits) != HEX_DIGITS:
        reason = f"an address has {HEX_DIGITS} digits after 0x, this has {len(digits)}"
    if reason is not None:
        return reason, "Give an EVM address: 0x and 40 hexadecimal digits."
    mixed = digits not in {digits.lower(), digits.upper()}
    if mixed and checksum_address(typed) != typed:
        reason = "the checksum of this address is wrong: a digit or a letter's case was changed"
        return reason, "Copy the address again from its source."
    return None


def _unlikely(account: str) -> Objection:
    """Addresses that nobody owns."""
    number = int(account, 16)
    reason = None
    if number == 0:
        reason = "this is the zero address: nobody owns it"
    elif number <= LAST_PRECOMPILE:
        reason = "this is the address of a built-in function (precompile), nobody's wallet"
    elif account in BURN:
        reason = "this is a burn or placeholder address: nobody owns it"
    return None if reason is None else (reason, "Give the address of a wallet.")
