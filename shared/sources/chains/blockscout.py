"""Blockscout's Etherscan-like API: the PRO one with a key, a chain's public instance without.

It has no module=proxy: the head is module=block, a block's hash is in the REST API beside it.
Source: https://docs.blockscout.com/endpoint-overview (read 2026-11-24)
"""

from http import HTTPStatus

from shared.clock import Deadline
from shared.http import Http
from shared.settings import SourceOptions
from shared.sources.base import Source
from shared.sources.catalog import provider_info
from shared.sources.etherscan_like import EtherscanLike
from shared.sources.etherscan_refusals import UnknownActionError
from shared.sources.etherscan_wire import RestBlock

KEY = "blockscout"
DOCS = "https://docs.blockscout.com/endpoint-overview"
PRO_SUFFIX = "/v2/api"
NOT_THERE = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
)


def build(http: Http, options: SourceOptions) -> Source:
    """The source of this provider."""
    return Blockscout(http, options)


class Blockscout(EtherscanLike):
    """Differs in how it tells heads and hashes."""

    def __init__(self, http: Http, options: SourceOptions) -> None:
        super().__init__(provider_info(KEY), http, options)
        # Behind a URL of the operator's own there may be something more complete than a Blockscout.
        self._has_proxy = bool(options.base_url)

    def head(self, chain_id: int, deadline: Deadline) -> int:
        """See ``Source.head``; a second request the first time that there is no module=proxy."""
        if self._has_proxy:
            try:
                return super().head(chain_id, deadline)
            except UnknownActionError:
                self._has_proxy = False
        asked = {"module": "block", "action": "eth_block_number"}
        return self._block_number(self._ask(chain_id, asked, deadline))

    def block_hash(self, chain_id: int, block: int, deadline: Deadline) -> bytes | None:
        """See ``Source.block_hash``; None also where the REST API has not got the block."""
        if self._has_proxy:
            return super().block_hash(chain_id, block, deadline)
        url = f"{self._rest_url(chain_id)}/blocks/{block}"
        reply = self._get(url, {}, deadline, "blocks")
        if reply.status in NOT_THERE:
            return None
        if reply.status != HTTPStatus.OK:
            raise self._refused(reply, self._envelope(reply))
        found = self._decoded(reply, RestBlock)
        return self._checked_hash(block, found.height, found.hash, reply.action)

    def _rest_url(self, chain_id: int) -> str:
        """Where the REST API is: beside the instance's, or under the chain's number."""
        url = self._url(chain_id)[0].rstrip("/")
        if url.endswith(PRO_SUFFIX):
            return f"{url.removesuffix(PRO_SUFFIX)}/{chain_id}/api/v2"
        return f"{url}/v2"
