"""Routescan: the Etherscan API without a key, on a few chains."""

from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import Source
from shared.sources.catalog import provider_info
from shared.sources.etherscan_like import EtherscanLike

KEY = "routescan"
DOCS = "https://routescan.io/documentation"


def build(http: Http, options: SourceOptions) -> Source:
    """The source of this provider."""
    return EtherscanLike(provider_info(KEY), http, options)
