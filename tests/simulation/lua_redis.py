"""The product's own Lua scripts over as much of Redis as they use, with a clock that can be moved.

The contract suite of queues runs over it as well as over a real Redis: what differs shows there.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type  # type: ignore[import-untyped]

from shared.upstash.scripts import KEYS, script

MICROS = 1_000_000


class LuaRedis:
    """Runs scripts as ``UpstashClient`` does; ``now_s`` is the server's clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self.calls = 0
        self.keys = [f"{{sim}}:{key}" for key in KEYS]
        self._hashes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._sets: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._one_at_a_time = threading.Lock()
        self._lua = LuaRuntime(unpack_returned_tuples=True)
        self._compiled: dict[str, Any] = {}
        given = self._lua.globals()
        given.KEYS = self._lua.table_from(self.keys)
        given.redis = self._lua.table_from({"call": self._call})
        given.cjson = self._lua.table_from({"decode": self._decode, "encode": self._encode})

    def script(self, name: str, ask: Mapping[str, Any]) -> Any:
        """See ``UpstashClient.script``."""
        with self._one_at_a_time:
            self.calls += 1
            if name not in self._compiled:
                self._compiled[name] = self._lua.eval(f"function() {script(name)} end")
            self._lua.globals().ARGV = self._lua.table_from([json.dumps(ask)])
            return json.loads(self._compiled[name]())

    def clear(self) -> None:
        """FLUSHALL."""
        self._hashes.clear()
        self._sets.clear()

    def _call(self, command: str, *words: Any) -> Any:
        found = getattr(self, f"_{command.lower()}")(*words)
        if isinstance(found, list):
            return self._lua.table_from(found)
        # A missing bulk string is ``false`` in Lua.
        return False if found is None else found

    def _decode(self, text: str) -> Any:
        return self._table(json.loads(text))

    def _table(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._lua.table_from({key: self._table(each) for key, each in value.items()})
        if isinstance(value, list):
            return self._lua.table_from([self._table(each) for each in value])
        return float(value) if type(value) is int else value

    def _encode(self, value: Any) -> str:
        return json.dumps(_plain(value))

    def _time(self) -> list[str]:
        micros = round(self.now_s() * MICROS)
        return [str(micros // MICROS), str(micros % MICROS)]

    def _hget(self, key: str, field: str) -> str | None:
        return self._hashes[key].get(_word(field))

    def _hset(self, key: str, field: str, value: Any) -> int:
        self._hashes[key][_word(field)] = _word(value)
        return 1

    def _hdel(self, key: str, field: str) -> int:
        return int(self._hashes[key].pop(_word(field), None) is not None)

    def _hlen(self, key: str) -> int:
        return len(self._hashes[key])

    def _hgetall(self, key: str) -> list[str]:
        return [word for pair in self._hashes[key].items() for word in pair]

    def _zadd(self, key: str, score: Any, member: str) -> int:
        self._sets[key][member] = float(score)
        return 1

    def _zrem(self, key: str, member: str) -> int:
        return int(self._sets[key].pop(member, None) is not None)

    def _zcard(self, key: str) -> int:
        return len(self._sets[key])

    def _zcount(self, key: str, low: str, high: str) -> int:
        return sum(_within(score, low, high) for score in self._sets[key].values())

    def _zrangebyscore(
        self, key: str, low: str, high: str, _limit: str, skip: float, most: float
    ) -> list[str]:
        found = sorted((score, member) for member, score in self._sets[key].items())
        members = [member for score, member in found if _within(score, low, high)]
        return members[int(skip) : int(skip) + int(most)]

    def _del(self, *keys: str) -> int:
        for key in keys:
            self._hashes.pop(key, None)
            self._sets.pop(key, None)
        return len(keys)


def _word(value: Any) -> str:
    return str(value) if isinstance(value, str) else f"{value:g}"


def _within(score: float, low: str, high: str) -> bool:
    above = score > float(low[1:]) if low.startswith("(") else score >= float(low)
    return above and score <= float(high)


def _plain(value: Any) -> Any:
    """A Lua value as JSON knows it; whole numbers without a point, as cjson writes them."""
    if lua_type(value) == "table":
        keys = list(value)
        if keys and keys == list(range(1, len(keys) + 1)):
            return [_plain(value[key]) for key in keys]
        return {str(key): _plain(value[key]) for key in keys}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
