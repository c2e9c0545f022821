"""``self``: the deployment calls itself, and waits only until the call is accepted (202)."""

from shared.clock import Deadline
from shared.triggers.base import Caller, RunCall
from shared.triggers.posting import Poster

# Asked again after a lost answer it is a copy, and refused as one: the first was accepted.
ACCEPTED = frozenset({202, 409})
# https://vercel.com/docs/deployment-protection/methods-to-bypass-deployment-protection
BYPASS = "x-vercel-protection-bypass"


class SelfTrigger:
    """One POST to our own URL."""

    def __init__(self, caller: Caller, *, bypass_secret: str | None = None) -> None:
        self._caller = caller
        self._extra = {BYPASS: bypass_secret} if bypass_secret else {}
        self._poster = Poster("our own URL", ACCEPTED)

    def fire(self, deadline: Deadline) -> None:
        """See ``Trigger.fire``."""
        call = self._caller.run_call()
        headers = {**call.headers, **self._extra}
        self._poster.post(call.url, headers=headers, body=call.body, deadline=deadline)

    def in_closing(self) -> RunCall | None:
        """See ``Trigger.in_closing``."""
        return None

    def closed(self) -> None:
        """See ``Trigger.closed``."""
