"""Exact amounts as text: integers in the smallest unit, never a float."""


def scaled(amount_raw: int, decimals: int | None) -> str:
    """An amount in whole coins, exact; the raw number when the decimals are unknown."""
    if not decimals:
        return str(amount_raw)
    whole, part = divmod(abs(amount_raw), 10**decimals)
    text = f"{whole}.{part:0{decimals}d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount_raw < 0 else text
