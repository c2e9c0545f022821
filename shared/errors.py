"""Every error of the product, in one tree.

    TallybookError
    ├── ConfigError                  a setting is missing or wrong
    ├── InvalidInputError            what a caller sent cannot be used
    ├── NotFoundError                no such thing for this owner
    ├── ReplayedError                a signed call came a second time
    ├── DeadlineExceededError        the box closed while we waited
    ├── StorageError                 the database refused or went away
    │   ├── StorageUnreachableError  no connection, or it was cut
    │   ├── StorageFullError         its disk is full
    │   ├── StorageReadOnlyError     it takes no writes
    │   ├── StorageDeniedError       its user lacks a privilege
    │   ├── StorageSchemaError       tables or columns are missing
    │   └── StorageRefusedError      it will never take what we said
    ├── LeaseLostError               another run owns the stream now
    ├── RedisError                   queue, cache or shares: no usable answer
    │   ├── RedisUnreachableError    no answer; whether the call happened may be unknown
    │   └── RedisRefusedError        bad token, limit of the plan, a command it will not run
    ├── TriggerError                 the next run is not on its way; the sweep will start it
    ├── MovingError                  a move between queues cannot begin or go on; nothing is lost
    ├── SchedulerError               who shall make the cron calls refused, or is not there
    └── SourceError                  a provider's answer, by class
        ├── SourceRateLimitedError   asked us to wait; burns no attempt
        │   └── QuotaUsedUpError     the calls of its plan are used up for now
        ├── SourceUnavailableError   5xx, cut answer, no connection
        │   └── SourceTimeoutError   no answer in the time given
        ├── BoxTooShortError         a whole box was not enough to move on
        ├── SourceNotReadyError      the provider has not processed the range yet
        ├── SourcePayloadError       an answer of a shape we refuse to guess about
        ├── SourceDeniedError        bad or missing key
        ├── SourceUnsupportedError   this provider does not serve this chain on this plan
        ├── BlockTooLargeError       one block holds more rows than any window shows
        └── HistoryChangedError      a settled block came back different

``code`` is stable: clients and alerts match on it. ``retryable`` says whether waiting can help,
``fix`` what a person can do.
"""

from typing import ClassVar


class TallybookError(Exception):
    """Root of the tree; carries a stable code and a sentence for a person."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    fix: ClassVar[str] = ""

    def __init__(self, detail: str, *, fix: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.how_to_fix = self.fix if fix is None else fix


class ConfigError(TallybookError):
    """A setting is missing or wrong; the message names the variable and the fix."""

    code = "config"


class InvalidInputError(TallybookError):
    """What a caller sent cannot be used."""

    code = "invalid_input"


class InvalidAddressError(InvalidInputError):
    """An address that cannot be, or is unlikely to be, what its owner meant."""

    code = "invalid_address"


class InvalidCursorError(InvalidInputError):
    """A paging cursor that this service did not hand out."""

    code = "invalid_cursor"


class NotFoundError(TallybookError):
    """No such thing for this owner."""

    code = "not_found"


class UnauthorizedError(TallybookError):
    """The call carries no valid token."""

    code = "unauthorized"


class ReplayedError(TallybookError):
    """A copy of a call that was accepted before."""

    code = "replayed"


class DeadlineExceededError(TallybookError):
    """The box closed while we waited."""

    code = "deadline"
    retryable = True


class StorageError(TallybookError):
    """The database refused or went away; nothing was half-written."""

    code = "storage"
    retryable = True
    sentence: ClassVar[str] = "the database failed"


class StorageUnreachableError(StorageError):
    """No connection, or it was cut; whether the last statement happened may be unknown."""

    sentence = "the database cannot be reached or is busy"
    fix = "Check DATABASE_URL and that the server runs, then try again."


class StorageFullError(StorageError):
    """The disk of the database is full."""

    code = "storage_full"
    sentence = "the disk of the database is full"
    fix = "Free space or take a larger plan; the sync then goes on where it was."


class StorageReadOnlyError(StorageError):
    """The database takes no writes."""

    code = "storage_read_only"
    sentence = "the database is read-only"
    fix = (
        "Supabase and other hosters make a database read-only when its disk quota is exceeded:"
        " free space or take a larger plan. Otherwise have DATABASE_URL name one that can be"
        " written: the primary, or a file that is ours."
    )


class StorageDeniedError(StorageError):
    """The database user lacks a privilege."""

    code = "storage_denied"
    sentence = "the database user may not do this"
    fix = "Grant it what is missing, or use the user that ran tallybook init."


class StorageSchemaError(StorageError):
    """Tables or columns of ours are missing."""

    code = "storage_schema"
    sentence = "the database lacks tables or columns"
    fix = "Run tallybook init."


class StorageRefusedError(StorageError):
    """The database will never take what we said, however often we say it."""

    code = "storage_refused"
    retryable = False
    sentence = "the database refused what was written"
    fix = "This is a bug: report it with this message, then start the sync again."


class LeaseLostError(TallybookError):
    """Another run owns the stream now; whatever we hold is stale."""

    code = "lease_lost"
    retryable = True


class RedisError(TallybookError):
    """Redis gave no usable answer; the ledger has lost nothing, and the sweep wakes what is due."""

    code = "redis"
    retryable = True


class RedisUnreachableError(RedisError):
    """No answer; whether the call happened may be unknown."""

    code = "redis_unreachable"


class RedisRefusedError(RedisError):
    """It answered with an error: a bad token, a limit of the plan, a command it will not run."""

    code = "redis_refused"
    fix = "Check UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, and the limits of the plan."


class TriggerError(TallybookError):
    """The next run is not on its way; the sweep will start it."""

    code = "trigger"
    retryable = True


class MovingError(TallybookError):
    """A move between queues cannot begin or go on; nothing is lost, and it may be repeated."""

    code = "moving"


class SchedulerError(TallybookError):
    """Who shall make the cron calls refused, or is not there."""

    code = "scheduler"
    retryable = True


class SourceError(TallybookError):
    """A provider's answer that is not data."""

    code = "source"

    def __init__(self, source: str, detail: str, *, fix: str | None = None) -> None:
        super().__init__(f"{source}: {detail}", fix=fix)
        self.source = source


class SourceRateLimitedError(SourceError):
    """The provider asked us to slow down."""

    code = "source_rate_limited"
    retryable = True

    def __init__(self, source: str, detail: str, *, retry_after_s: float) -> None:
        super().__init__(source, f"{detail}; retry in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class QuotaUsedUpError(SourceRateLimitedError):
    """The calls that its plan allows are used up; ``retry_after_s`` is when there are new ones."""

    code = "quota_used_up"

    def __init__(self, source: str, detail: str, *, retry_after_s: float) -> None:
        super().__init__(source, detail, retry_after_s=retry_after_s)
        self.how_to_fix = (
            f"It goes on by itself. With a larger plan, set SOURCE__{source.upper()}__CALLS_A_DAY."
        )


class SourceUnavailableError(SourceError):
    """The provider failed or did not answer in time."""

    code = "source_unavailable"
    retryable = True


class SourceTimeoutError(SourceUnavailableError):
    """The provider did not answer in the time given; a smaller page may."""

    code = "source_timeout"


class BoxTooShortError(SourceError):
    """A whole box was not enough for the least that moves a stream on."""

    code = "box_too_short"
    retryable = True
    fix = "Give runs more time: raise --budget or RUN_BUDGET_S."


class SourceNotReadyError(SourceError):
    """The provider has not processed this block range yet."""

    code = "source_not_ready"
    retryable = True


class SourcePayloadError(SourceError):
    """An answer of a shape, or with a contradiction, that we refuse to guess about."""

    code = "source_payload"
    retryable = True
    fix = "If it lasts, the provider changed its answers: report it, or choose another source."


class SourceDeniedError(SourceError):
    """The provider refused our key."""

    code = "source_denied"
    fix = "Set or renew the API key of this source, then start the sync again."


class SourceUnsupportedError(SourceError):
    """The provider does not serve this chain, or not on this plan."""

    code = "source_unsupported"
    fix = "Choose another source for this chain, or a plan that covers it."


class BlockTooLargeError(SourceError):
    """One block holds more rows of this address than any window of the provider shows."""

    code = "block_too_large"
    fix = "Choose a source with a larger window for this chain."


class HistoryChangedError(SourceError):
    """A settled block came back different although the chain did not reorganise."""

    code = "history_changed"
    fix = "Compare the block with an explorer; start the sync again to read all of it anew."


def fault_of(error: TallybookError) -> tuple[str, str, str]:
    """The (code, detail, fix) triple that is stored with a stream and shown to its owner."""
    return error.code, error.detail, error.how_to_fix
