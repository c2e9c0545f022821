"""A provider as a process of its own: one wallet's ERC-20 rows, rendered before anybody asks.

``python -m benchmarks.provider ROWS LATENCY_S`` prints its port. It answers as Etherscan does and
computes nothing but where a page begins: every row has the same length.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import parse_qs, urlsplit

ACCOUNT = "0x" + "ab" * 20
ASSETS, PARTNERS = 20, 3_000
FIRST_BLOCK, ROWS_A_BLOCK = 10_000_000, 10
UNSETTLED = 1_000  # empty blocks up to the head
ROW = (
    '{{"blockNumber":"{block}","timeStamp":"{at_s}","hash":"0x{tx_hash}","nonce":"{number:08}",'
    '"blockHash":"0x{block:064x}","from":"0x{sender}","contractAddress":"0x{contract}",'
    '"to":"0x{receiver}","value":"{value}","tokenName":"Token {asset:02}",'
    '"tokenSymbol":"TK{asset:02}","tokenDecimal":"18","transactionIndex":"{index:03}",'
    '"gas":"0210000","gasPrice":"{gas_price}","gasUsed":"0065000","cumulativeGasUsed":"09000000",'
    '"input":"deprecated","methodId":"0xa9059cbb","functionName":'
    '"transfer(address _to, uint256 _value)","confirmations":"{number:08}"}},'
)
BLOCK = '{{"jsonrpc":"2.0","id":1,"result":{{"number":"{0:#x}","hash":"0x{0:064x}"}}}}'
NOTHING = b'{"status":"0","message":"No transactions found","result":[]}'


def rendered(rows: int) -> bytearray:
    """All rows, one behind the other."""
    rng = random.Random(7)  # noqa: S311 - data
    partners = [rng.randbytes(20).hex() for _ in range(PARTNERS)]
    hashes = rng.randbytes(32 * rows).hex()
    found = bytearray()
    for number in range(rows):
        block = FIRST_BLOCK + number // ROWS_A_BLOCK
        chance = int(hashes[number * 64 : number * 64 + 8], 16)
        sides = ACCOUNT[2:], partners[chance % PARTNERS]
        asset = chance // PARTNERS % ASSETS
        found += ROW.format(
            block=block,
            at_s=1_600_000_000 + block,
            tx_hash=hashes[number * 64 : number * 64 + 64],
            number=number,
            sender=sides[chance & 1],
            receiver=sides[~chance & 1],
            contract=f"{asset + 1:040x}",
            value=10**20 + chance * 10**10,
            asset=asset,
            index=number % ROWS_A_BLOCK * 17,
            gas_price=10**10 + chance,
        ).encode("ascii")
    return found


class Provider:
    """What is answered to which request."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.head = FIRST_BLOCK + rows // ROWS_A_BLOCK + UNSETTLED
        self._text = memoryview(rendered(rows))
        self._length = len(self._text) // rows

    def answer(self, target: str) -> bytes:
        """The body for a request's path and query."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(target).query).items()}
        match asked["action"]:
            case "tokentx" if asked["sort"] == "asc":
                return self._page(*(int(asked[k]) for k in ("startblock", "page", "offset")))
            case "eth_blockNumber":
                return b'{"jsonrpc":"2.0","id":1,"result":"%s"}' % hex(self.head).encode()
            case "eth_getBlockByNumber":
                block = int(asked["tag"], 16)
                return BLOCK.format(block).encode("ascii")
            case _:
                return NOTHING

    def _page(self, lo: int, page: int, size: int) -> bytes:
        """Rows from ``lo`` up to the head, which is what the engine asks for."""
        begin = max(lo - FIRST_BLOCK, 0) * ROWS_A_BLOCK + (page - 1) * size
        end = min(begin + size, self.rows)
        if begin >= end:
            return NOTHING
        rows = bytes(self._text[begin * self._length : end * self._length - 1])
        return b'{"status":"1","message":"OK","result":[%b]}' % rows


class Link(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, provider: Provider, latency_s: float) -> None:
        self._provider = provider
        self._latency_s = latency_s
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request when its time has come."""
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            request, _, self._heard = self._heard.partition(b"\r\n\r\n")
            target = request.split(b" ", 2)[1].decode("ascii")
            asyncio.get_running_loop().call_later(self._latency_s, self._answer, target)

    def _answer(self, target: str) -> None:
        body = self._provider.answer(target)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


@contextmanager
def serving(rows: int, latency_s: float) -> Iterator[str]:
    """The provider's URL; its process ends with the block."""
    command = [sys.executable, "-m", "benchmarks.provider", str(rows), str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/api"
        finally:
            process.terminate()


async def serve(rows: int, latency_s: float) -> None:
    """Answer until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Link, Provider(rows), latency_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
