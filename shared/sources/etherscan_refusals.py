"""What the error texts of Etherscan-like providers mean.

Texts: reference/providers.md 3.1 and 3.2, docs.etherscan.io/common-error-messages, recordings.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from pydantic import SecretStr

from shared.errors import (
    QuotaUsedUpError,
    SourceDeniedError,
    SourceError,
    SourceNotReadyError,
    SourcePayloadError,
    SourceRateLimitedError,
    SourceUnavailableError,
    SourceUnsupportedError,
)
from shared.sources.etherscan_fields import cleaned

PER_SECOND_RETRY_S = 1.0
DAILY_RETRY_S = 3600.0
TEXT_CHARS = 160

EMPTY = re.compile(
    r"no ([a-z0-9-]+ ){0,3}(transactions?|transfers?|withdrawals?|records?) found[.!]?",
    re.IGNORECASE,
)


class UnknownActionError(SourceUnsupportedError):
    """The provider does not know what was asked, on any chain or plan."""


class Speaker(NamedTuple):
    """Who said it, and which key must never be repeated."""

    key: str
    key_variable: str
    secret: SecretStr | None

    def quoted(self, text: str) -> str:
        """A provider's words as they may stand in a message: clean, short, without our key."""
        secret = self.secret.get_secret_value() if self.secret is not None else ""
        hidden = text.replace(secret, "***") if secret else text
        return cleaned(hidden, TEXT_CHARS) or "nothing"


def refusal(speaker: Speaker, *texts: object) -> SourceError:
    """The error that a provider's words mean; the first text that means something decides.

    What nobody has seen before is a SourcePayloadError: never data, tried again, and visible.
    """
    known = known_refusal(speaker, *texts)
    if known is not None:
        return known
    said = next((str(text) for text in texts if text is not None and text != ""), "")
    return SourcePayloadError(speaker.key, f"said: {speaker.quoted(said)}")


def known_refusal(speaker: Speaker, *texts: object) -> SourceError | None:
    """The error that a provider's words mean; None when no text is known."""
    for text in texts:
        for pattern, make in _MEANINGS:
            if isinstance(text, str) and pattern.search(text):
                return make(speaker, speaker.quoted(text))
    return None


def _denied(speaker: Speaker, said: str) -> SourceError:
    fix = f"Set {speaker.key_variable} to a valid key of this provider, then start the sync again."
    return SourceDeniedError(speaker.key, f"refused our API key: {said}", fix=fix)


def _daily(speaker: Speaker, said: str) -> SourceError:
    return QuotaUsedUpError(speaker.key, said, retry_after_s=DAILY_RETRY_S)


def _too_fast(speaker: Speaker, said: str) -> SourceError:
    return SourceRateLimitedError(speaker.key, said, retry_after_s=PER_SECOND_RETRY_S)


def _unsupported(speaker: Speaker, said: str) -> SourceError:
    return SourceUnsupportedError(speaker.key, said)


def _unknown_action(speaker: Speaker, said: str) -> SourceError:
    return UnknownActionError(speaker.key, said)


def _payload(speaker: Speaker, said: str) -> SourceError:
    return SourcePayloadError(speaker.key, said)


def _unavailable(speaker: Speaker, said: str) -> SourceError:
    return SourceUnavailableError(speaker.key, said)


def _not_ready(speaker: Speaker, said: str) -> SourceError:
    return SourceNotReadyError(speaker.key, said)


def _meaning(
    pattern: str, make: Callable[[Speaker, str], SourceError]
) -> tuple[re.Pattern[str], Callable[[Speaker, str], SourceError]]:
    return re.compile(pattern, re.IGNORECASE), make


# The order matters: "Missing/Invalid API Key, rate limit of .." is about the key, not the rate.
_MEANINGS = (
    _meaning(
        r"(invalid|missing|wrong|unknown|expired|inactive)[ /a-z]{0,30}api[ _-]?key"
        r"|api[ _-]?key[ a-z]{0,20}(invalid|missing|required|not found|expired|suspended)"
        r"|unauthori[sz]ed",
        _denied,
    ),
    _meaning(
        r"(daily|per day|credits?|monthly|quota).{0,40}(limit|reached|exceeded|exhaust)"
        r"|limit.{0,40}(per day|daily)|(exceeded|exhausted).{0,40}(quota|credits)",
        _daily,
    ),
    _meaning(r"rate limit|too many requests|calls per sec|requests per sec|throttl", _too_fast),
    _meaning(
        r"not (yet )?supported (for|on) this chain|chain (is )?not supported|chain not found"
        r"|unsupported chain|api access is not supported|upgrade your (api )?plan|api pro\b"
        r"|pro (endpoint|plan)|(not available|unavailable) (on|for|in) (your|this|the free)",
        _unsupported,
    ),
    _meaning(
        r"(missing or )?invalid (action|module) name|unknown (action|module)"
        r"|method .{0,60}(not supported|not found|not available|does not exist)"
        r"|(unsupported|unknown) method",
        _unknown_action,
    ),
    _meaning(r"not (yet )?(been )?(processed|indexed)|still (being )?(index|process)", _not_ready),
    _meaning(r"result window is too large", _payload),
    _meaning(
        r"time[ -]?out|too busy|try again|something went wrong|internal (server )?error"
        r"|unexpected error|unavailable|maintenance|overloaded|upstream|bad gateway",
        _unavailable,
    ),
)
