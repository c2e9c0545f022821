"""Etherscan V2: one key for sixty chains."""

from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import Source
from shared.sources.catalog import provider_info
from shared.sources.etherscan_like import EtherscanLike

KEY = "etherscan"
DOCS = "https://docs.etherscan.io"


def build(http: Http, options: SourceOptions) -> Source:
    """The source of this provider."""
    return EtherscanLike(provider_info(KEY), http, options)
