"""What is stored with an asset when it is first seen."""

from schema.queries.asset_ids import AssetRow
from schema.types import AssetStandard
from shared.sources.base import AssetRef, TokenInfo


def asset_row(kind: str, asset: AssetRef, token: TokenInfo | None) -> AssetRow:
    """What is stored with an asset; a feed that says nothing leaves it blank."""
    if token is None:
        standard = AssetStandard.NATIVE.value if asset.contract is None else kind
        return AssetRow(standard, None, None, None)
    return AssetRow(token.standard.value, token.symbol, token.name, token.decimals)
