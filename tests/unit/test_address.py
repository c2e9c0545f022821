"""Addresses: good ones pass in any case, bad ones are refused each with its own reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.address import checksum_address, parse_account
from shared.errors import InvalidAddressError

# The examples of EIP-55.
CHECKSUMMED = (
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
)
SECRET = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


@pytest.mark.parametrize("address", CHECKSUMMED)
def test_the_examples_of_the_standard_pass(address: str) -> None:
    assert parse_account(f"  {address}\n") == address.lower()
    assert checksum_address(address.lower()) == address
    assert checksum_address(bytes.fromhex(address[2:])) == address


@pytest.mark.parametrize("address", CHECKSUMMED)
def test_one_case_only_carries_no_checksum(address: str) -> None:
    assert parse_account(address.lower()) == address.lower()
    assert parse_account("0x" + address[2:].upper()) == address.lower()


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "empty"),
        ("0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "checksum"),
        ("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "starts with 0x"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", "this has 39"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd", "this has 41"),
        ("0x", "hexadecimal"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", "hexadecimal"),
        ("0x٣aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "hexadecimal"),
        ("0x" + "0" * 40, "zero address"),
        ("0x" + "0" * 39 + "1", "precompile"),
        ("0x" + "0" * 38 + "ff", "precompile"),
        ("0x000000000000000000000000000000000000dEaD", "burn"),
        ("0xdead000000000000000042069420694206942069", "burn"),
        ("vitalik.eth", "name"),
        ("pay.vitalik.eth", "name"),
        ("0x" + SECRET, "private key"),
        (SECRET, "private key"),
        ("abandon " * 12, "seed phrase"),
    ],
)
def test_each_mistake_has_its_own_reason(typed: str, reason: str) -> None:
    with pytest.raises(InvalidAddressError, match=reason) as caught:
        parse_account(typed)

    assert caught.value.how_to_fix


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(InvalidAddressError) as caught:
        parse_account("0x" + SECRET)

    assert SECRET[:8] not in str(caught.value) + caught.value.how_to_fix


@given(st.binary(min_size=20, max_size=20).filter(lambda raw: int.from_bytes(raw[:16]) > 0))
def test_what_we_display_can_be_typed_back(raw: bytes) -> None:
    shown = checksum_address(raw)
    if shown.lower().startswith("0xdead"):
        return

    assert parse_account(shown) == "0x" + raw.hex()


@given(st.text())
def test_nothing_typed_fails_in_any_other_way(typed: str) -> None:
    try:
        parse_account(typed)
    except InvalidAddressError as exc:
        assert exc.code == "invalid_address"  # noqa: PT017 - either outcome is fine
