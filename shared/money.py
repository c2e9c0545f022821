"""Exact amounts as text: integers in the smallest unit, never a float."""

from decimal import Decimal


def scaled(amount_raw: int, decimals: int | None) -> str:
    """An amount in whole coins, exact; the raw number when the decimals are unknown."""
    if not decimals:
        return str(amount_raw)
    whole, part = divmod(abs(amount_raw), 10**decimals)
    text = f"{whole}.{part:0{decimals}d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount_raw < 0 else text


def plain(number: Decimal) -> str:
    """A decimal without exponent and without zeros at its end."""
    return worth(1, 0, number)


def worth(amount_raw: int, decimals: int, price: Decimal) -> str:
    """Amount times price with every digit: whole numbers only, as Decimal rounds at 28 digits."""
    sign, digits, exponent = price.as_tuple()
    if not isinstance(exponent, int):
        message = f"a price must be a number: {price}"
        raise ValueError(message)  # noqa: TRY004 - its value is wrong, not its type
    product = amount_raw * int("".join(map(str, digits))) * (-1 if sign else 1)
    places = decimals - exponent
    return scaled(product, places) if places > 0 else str(product * 10**-places)
