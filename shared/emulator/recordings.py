"""Recorded answers of real providers as a row store: DIR/PROVIDER/CHAIN/ADDRESS/ACTION-N.json.

A recording that was cut by page and offset may know only a part of its first or last block. So
overlapping recordings are merged by whole blocks, never row by row: equal rows are legitimate.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from shared.emulator.dialect import DIALECTS, number_of
from shared.emulator.events import ACTIONS
from shared.emulator.listed import ListedStore
from shared.emulator.store import Feed
from shared.emulator.wire import PROVIDERS, WireRow
from shared.errors import ConfigError

FIX = "Point --load at a folder with etherscan/, blockscout/ or routescan/ inside it."
Query = dict[str, str]


class Recording(NamedTuple):
    """One recorded answer: its rows in block order, and the blocks that its cut may have halved."""

    feed: Feed
    rows: list[WireRow]
    halved: frozenset[int]


def load_recordings(folder: Path) -> ListedStore:
    """Read every recording of a folder.

    Raises:
        ConfigError: The folder is missing, holds no recordings, or one of its files is broken.
    """
    if not folder.is_dir():
        message = f"{folder} is not a folder. {FIX}"
        raise ConfigError(message, fix=FIX)
    queries = _queries(folder / "manifest.json")
    recordings: list[Recording] = []
    heads: dict[int, int] = defaultdict(int)
    refusals: dict[tuple[str, int], str] = {}
    served: dict[str, set[int]] = {provider: set() for provider in PROVIDERS}
    for path, feed in _files(folder):
        query = queries.get(path.relative_to(folder).as_posix(), {})
        result = _result(path)
        if isinstance(result, str):
            if not result.isdigit():
                refusals[feed.provider, feed.chain_id] = result
            continue
        recording = _recording(path, feed, query, result)
        served[feed.provider].add(feed.chain_id)
        recordings.append(recording)
        newest = [_endblock(query), *(int(row["blockNumber"]) for row in recording.rows[-1:])]
        heads[feed.chain_id] = max(heads[feed.chain_id], *newest)
    if not recordings:
        message = f"{folder} holds no recordings. {FIX}"
        raise ConfigError(message, fix=FIX)
    return ListedStore(merged(recordings), served=served, heads=heads, refusals=refusals)


def merged(recordings: Iterable[Recording]) -> dict[Feed, list[WireRow]]:
    """One list of rows for each feed, each block from the one recording that knows it best."""
    by_feed: dict[Feed, dict[int, list[tuple[bool, list[WireRow]]]]] = {}
    for recording in recordings:
        blocks = by_feed.setdefault(recording.feed, {})
        for block, rows in groupby(recording.rows, key=_block):
            whole = block not in recording.halved
            blocks.setdefault(block, []).append((whole, list(rows)))
    return {
        feed: [row for block in sorted(blocks) for row in max(blocks[block], key=_worth)[1]]
        for feed, blocks in by_feed.items()
    }


def _worth(candidate: tuple[bool, list[WireRow]]) -> tuple[bool, int]:
    whole, rows = candidate
    return whole, len(rows)


def _block(row: WireRow) -> int:
    return int(row["blockNumber"])


def _files(folder: Path) -> Iterator[tuple[Path, Feed]]:
    """The recordings of the six actions; folders named after hosts, not chains, are skipped."""
    for provider in PROVIDERS:
        for path in sorted(folder.glob(f"{provider}/*/*/*.json")):
            chain_id = number_of(path.parts[-3])
            action = path.stem.rpartition("-")[0]
            if chain_id is not None and action in ACTIONS:
                yield path, Feed(provider, chain_id, path.parts[-2].lower(), action)


def _queries(manifest: Path) -> dict[str, Query]:
    """The request of each file, as far as the manifest tells; names in lower case."""
    if not manifest.exists():
        return {}
    entries = _document(manifest)
    found: dict[str, Query] = {}
    for entry in entries if isinstance(entries, list) else ():
        request = entry.get("request") if isinstance(entry, dict) else None
        query = request.get("query") if isinstance(request, dict) else None
        if isinstance(query, dict) and isinstance(entry.get("file"), str):
            found[entry["file"]] = {str(key).lower(): str(query[key]) for key in query}
    return found


def _result(path: Path) -> Any:
    document = _document(path)
    if not isinstance(document, dict) or "result" not in document:
        message = f"{path} is no provider's answer: it has no result. Remove it or record it again."
        raise ConfigError(message)
    return document["result"]


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        message = f"{path} cannot be read as JSON ({exc}). Remove it or record it again."
        raise ConfigError(message) from exc


def _recording(path: Path, feed: Feed, query: Query, result: Any) -> Recording:
    rows: list[WireRow] = []
    for row in result if isinstance(result, list) else ():
        if not isinstance(row, dict) or number_of(str(row.get("blockNumber"))) is None:
            message = f"{path} has a row without a blockNumber. Remove it or record it again."
            raise ConfigError(message)
        rows.append(row)
    halved: set[int] = set()
    offset, page = number_of(query.get("offset", "")), number_of(query.get("page", ""))
    if rows and offset and len(rows) >= offset:
        halved.add(_block(rows[-1]))
    if rows and page is not None and page > 1:
        halved.add(_block(rows[0]))
    if _is_descending(rows, feed, query):
        rows = rows[::-1]
    return Recording(feed, sorted(rows, key=_block), frozenset(halved))


def _is_descending(rows: list[WireRow], feed: Feed, query: Query) -> bool:
    if rows and _block(rows[0]) != _block(rows[-1]):
        return _block(rows[0]) > _block(rows[-1])
    order = query.get("sort", "").lower()
    return order == "desc" if order else DIALECTS[feed.provider].descending


def _endblock(query: Query) -> int:
    """The end of the range asked for; a row of nines only says that there was none."""
    end = query.get("endblock", "")
    return 0 if not end.strip("9") else number_of(end) or 0
