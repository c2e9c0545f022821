"""A movement's place in its block, computed from what it says, never from the order served.

``pos = tx_index << 40 | low40``. Where the provider numbers nothing (Etherscan-like token feeds),
``low40`` is a digest of the content and of k, the occurrence among equal movements of the whole
transaction. Then the provider's order, the direction of paging and the cut of windows do not
matter: the same block always gets the same positions.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter

from schema.types import MovementKind
from shared.errors import SourcePayloadError
from shared.sources.base import Draft

LOW_BITS = 40
TX_INDEX_LIMIT = 1 << 23
KEYED = frozenset({MovementKind.TRANSFER, MovementKind.FEE})


def positions(source: str, block: int, drafts: Iterable[Draft]) -> list[tuple[int, Draft]]:
    """Place every movement of one complete block; ordered by place.

    Raises:
        SourcePayloadError: Two rows claim one identity, or a transaction index is out of range.
    """
    placed: list[tuple[int, Draft]] = []
    seen: defaultdict[Draft, int] = defaultdict(int)
    for draft in drafts:
        if not 0 <= draft.tx_index < TX_INDEX_LIMIT:
            detail = f"block {block} has a transaction index of {draft.tx_index}"
            raise SourcePayloadError(source, detail)
        occurrence = seen[draft]
        seen[draft] += 1
        if occurrence and (draft.identity or draft.kind in KEYED):
            detail = (
                f"block {block} lists one row twice (transaction {draft.tx_hash.hex() or 'none'})"
            )
            raise SourcePayloadError(source, detail)
        placed.append((draft.tx_index << LOW_BITS | _low(draft, occurrence), draft))
    if len({pos for pos, _ in placed}) == len(placed):
        return sorted(placed, key=itemgetter(0))
    wanted: defaultdict[int, list[Draft]] = defaultdict(list)
    for pos, draft in placed:
        wanted[pos].append(draft)
    return _settle(source, block, wanted)


def _low(draft: Draft, occurrence: int) -> int:
    """The lower 40 bits: kind and leg where a transaction has one such movement, else a digest."""
    if draft.kind in KEYED:
        return draft.kind << 8 | draft.leg
    if draft.identity:
        content = f"({draft.tx_hash!r}, {draft.identity!r}, {draft.leg})"
    else:
        # Written out, with what repeats from row to row shown once: half the time of one repr.
        content = (
            f"({draft.tx_hash!r}, {_shown(draft.asset)}, {draft.counterparty!r}, {draft.amount},"
            f" {_shown(draft.kind)}, {draft.leg}, {occurrence})"
        )
    return int.from_bytes(blake2b(content.encode(), digest_size=LOW_BITS // 8).digest())


@lru_cache(maxsize=4096, typed=True)
def _shown(value: object) -> str:
    """The repr of an asset or a kind."""
    return repr(value)


def _settle(source: str, block: int, wanted: dict[int, list[Draft]]) -> list[tuple[int, Draft]]:
    """Resolve places that two movements want: by content, each takes the next free one."""
    placed: dict[int, Draft] = {
        pos: rivals[0] for pos, rivals in wanted.items() if len(rivals) == 1
    }
    for pos in sorted(pos for pos, rivals in wanted.items() if len(rivals) > 1):
        if wanted[pos][0].kind in KEYED:
            detail = f"block {block} has two transactions with index {pos >> LOW_BITS}"
            raise SourcePayloadError(source, detail)
        free = pos
        for draft in sorted(wanted[pos], key=repr):
            while free in placed:
                free += 1
            placed[free] = draft
    return sorted(placed.items())
