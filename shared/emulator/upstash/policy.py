"""What Upstash refuses, and in which words.

The texts are Upstash's own where they are known: its troubleshooting pages, and what people
quote from its answers. The words for a request that cannot be parsed are ours.
"""

from dataclasses import dataclass

from shared.emulator.upstash.replies import Command, Failure, Withheld, failure

DOCS = "https://upstash.com/docs/redis"
WRONG_TOKEN = "WRONGPASS invalid or missing auth token"  # noqa: S105 - a text
LIMIT_REACHED = (
    "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001. "
    f"See {DOCS}/troubleshooting/max_daily_request_limit for details"
)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


READS = _names(
    """
    BITCOUNT BITFIELD_RO BITPOS DBSIZE ECHO EVALSHA_RO EVAL_RO EXISTS EXPIRETIME FCALL_RO GEODIST
    GEOHASH GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GET GETBIT GETRANGE HEXISTS
    HEXPIRETIME HGET HGETALL HKEYS HLEN HMGET HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSTRLEN HTTL HVALS
    INFO JSON.ARRINDEX JSON.ARRLEN JSON.GET JSON.MGET JSON.OBJKEYS JSON.OBJLEN JSON.RESP
    JSON.STRLEN JSON.TYPE KEYS LCS LINDEX LLEN LPOS LRANGE MGET PEXPIRETIME PFCOUNT PING PTTL
    PUBSUB RANDOMKEY SCAN SCARD SDIFF SINTER SINTERCARD SISMEMBER SMEMBERS SMISMEMBER SORT_RO
    SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TIME TOUCH TTL TYPE XINFO XLEN XPENDING XRANGE XREAD
    XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE
    ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN
    ZSCORE ZUNION
    """
)
# Reads that a token for the public must not have: they list everything.
POWERFUL = frozenset(("KEYS", "SCAN"))
# Of a connection, a transaction or a subscription: nothing for single requests.
NOT_IN_REST = _names(
    """
    AUTH DISCARD EXEC HELLO MONITOR MULTI PSUBSCRIBE PUNSUBSCRIBE QUIT RESET SELECT SSUBSCRIBE
    SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE UNWATCH WATCH
    BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN WAIT WAITAOF
    """
)
UNAVAILABLE = _names(
    """
    ASKING BGREWRITEAOF BGSAVE CLUSTER DEBUG FAILOVER LASTSAVE LATENCY LOLWUT MEMORY MIGRATE MODULE
    MOVE PSYNC READONLY READWRITE REPLCONF REPLICAOF ROLE SAVE SHUTDOWN SLAVEOF SLOWLOG SWAPDB SYNC
    """
)
NOTIFY = b"notify-keyspace-events"
# Their first argument is no key.
WITHOUT_KEY = _names(
    """
    ACL CLIENT COMMAND CONFIG DBSIZE ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO FLUSHALL
    FLUSHDB FUNCTION INFO KEYS PING PUBLISH PUBSUB RANDOMKEY SCAN SCRIPT SPUBLISH TIME
    """
)
# What makes a record longer; reading and deleting stay allowed in a record that is too long.
GROWING = _names(
    """
    APPEND HMSET HSET HSETNX LINSERT LPUSH LPUSHX RPUSH RPUSHX SADD SETBIT SETRANGE XADD ZADD
    """
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of the plans Free and Pay as you go; a test may want smaller ones."""

    request_bytes: int = 10 * 1024 * 1024  # of one command, and of one result
    record_bytes: int = 100 * 1024 * 1024
    key_bytes: int = 32 * 1024


def name_of(command: Command) -> str:
    """The command's name in capitals."""
    return command[0].decode("utf-8", "replace").upper()


def writes(command: Command) -> bool:
    """Whether it may change something, as far as its name tells."""
    return name_of(command) not in READS


def refusal(command: Command, *, read_only: bool, limits: Limits) -> Failure | None:
    """Why Upstash would not run this command, if so."""
    name = name_of(command)
    if read_only and (name not in READS or name in POWERFUL):
        return no_permission(name)
    if name in NOT_IN_REST or _blocks(name, command):
        return failure(
            f'ERR Command "{name}" is not allowed in REST or it has a special context path'
        )
    if name in UNAVAILABLE or not _known(name, command):
        return unavailable(" ".join([name, *_subcommand(command)]))
    if name not in WITHOUT_KEY and len(command) > 1 and len(command[1]) > limits.key_bytes:
        return too_large("key", limits.key_bytes, len(command[1]))
    size = sum(map(len, command))
    return too_large("request", limits.request_bytes, size) if size > limits.request_bytes else None


def unavailable(name: str) -> Failure:
    """The words for a command that Upstash does not have."""
    return failure(
        f"ERR Command is not available: '{name}'. See {DOCS}/overall/rediscompatibility for details"
    )


def no_permission(name: str) -> Failure:
    """The words for a command that the token does not allow."""
    return failure(
        f"NOPERM this user has no permissions to run the '{name.lower()}' command or its subcommand"
    )


def too_large(what: str, limit: int, actual: int) -> Failure:
    """The words for a key, a request or a single record over its limit."""
    page = f"max_{'record' if what == 'single record' else what}_size_exceeded"
    return failure(
        f"ERR max {what} size exceeded. Limit: {limit} bytes, Actual: {actual} bytes. "
        f"See {DOCS}/troubleshooting/{page} for details"
    )


def status_of(reply: object) -> int:
    """The HTTP status of one command's answer."""
    if not isinstance(reply, Failure) or isinstance(reply, Withheld):
        return 200
    return 413 if reply.startswith(b"ERR max request size exceeded") else 400


def _subcommand(command: Command) -> list[str]:
    return [word.decode("utf-8", "replace").upper() for word in command[1:2]]


def _blocks(name: str, command: Command) -> bool:
    if name not in {"XREAD", "XREADGROUP"}:
        return False
    words = [word.upper() for word in command]
    end = words.index(b"STREAMS") if b"STREAMS" in words else len(words)
    return b"BLOCK" in words[:end]


def _known(name: str, command: Command) -> bool:
    """CLIENT only names the library, CONFIG knows one parameter, ACL is of the console."""
    if name == "CLIENT":
        return _subcommand(command) == ["SETINFO"]
    if name == "CONFIG":
        return _subcommand(command) == ["GET"] or (
            _subcommand(command) == ["SET"] and [word.lower() for word in command[2:3]] == [NOTIFY]
        )
    return name != "ACL"
