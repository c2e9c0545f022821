"""What the contract suite of the chain sources speaks of: a source, its server, and answers."""

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

import shared.sources.chains
from schema.types import StreamKind
from shared.clock import Deadline, SystemClock
from shared.http_client import HttpxClient
from shared.settings import SourceOptions
from shared.sources.base import Answer, FeedRef, RangeQuery, Source
from tests.http_server import Server, sends

ADAPTERS = sorted(
    path.stem
    for path in Path(shared.sources.chains.__path__[0]).glob("*.py")
    if not path.stem.startswith("_")
)
KEY = "SECRETKEY42"
ACCOUNT = "0x" + "aa" * 20
OTHER = "0x" + "bb" * 20
TX = "0x" + "11" * 32
BLOCK_HASH = "0x" + "cd" * 32
KINDS = [kind for kind in StreamKind if kind is not StreamKind.WITHDRAWAL]
ALL_BLOCKS = RangeQuery(0, 10**9, 1, 1000)


@dataclass
class Bench:
    """A source and the server that it asks."""

    key: str
    source: Source
    server: Server

    def says(self, document: Any, status: int = 200) -> None:
        """What the server answers from now on."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.server.answers(sends(body, status))

    def fetch(
        self,
        kind: StreamKind = StreamKind.NATIVE,
        query: RangeQuery = ALL_BLOCKS,
        account: str = ACCOUNT,
        chain_id: int = 1,
    ) -> Answer:
        return self.source.fetch(FeedRef(chain_id, account, kind), query, within(5))

    def asked(self) -> tuple[str, dict[str, str]]:
        """Path and query of the last request."""
        parts = urlsplit(self.server.seen[-1])
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}


def within(seconds: float) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


def built(key: str, server: Server, http: HttpxClient) -> Source:
    options = SourceOptions(base_url=f"{server.url}/{key}/{{chain_id}}/api", api_key=SecretStr(KEY))
    source: Source = import_module(f"shared.sources.chains.{key}").build(http, options)
    return source


def native_row(**changes: Any) -> dict[str, Any]:
    row = {
        "blockNumber": "100",
        "blockHash": BLOCK_HASH,
        "timeStamp": "1700000000",
        "hash": TX,
        "transactionIndex": "3",
        "from": OTHER,
        "to": ACCOUNT,
        "value": "5",
        "gasPrice": "2",
        "gasUsed": "21000",
        "contractAddress": "",
        "isError": "0",
        "txreceipt_status": "1",
    }
    return {**row, **changes}


def refused(text: str) -> dict[str, Any]:
    return {"status": "0", "message": "NOTOK", "result": text}
