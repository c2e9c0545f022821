"""Requests under way, in the order in which their answers are wanted."""

from collections import deque
from collections.abc import Callable

from shared.seams import Handle
from shared.sources.base import Answer, RangeQuery


class Flight:
    """Requests under way, in the order in which their answers are wanted."""

    def __init__(self, start: Callable[[RangeQuery], Handle[Answer]]) -> None:
        self._start = start
        self._under_way: deque[tuple[RangeQuery, Handle[Answer]]] = deque()

    def keep(self, wanted: list[RangeQuery], may_start: Callable[[], bool]) -> None:
        """Have the wanted requests under way; answers to others are not waited for."""
        kept = {query: handle for query, handle in self._under_way if query in wanted}
        self._under_way = deque()
        for query in wanted:
            if query not in kept and not may_start():
                return
            self._under_way.append((query, kept.get(query) or self._start(query)))

    def land(self) -> Answer | None:
        """The answer to the oldest request, or None when none is under way."""
        return self._under_way.popleft()[1].result() if self._under_way else None
