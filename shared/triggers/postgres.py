"""``postgres``: pg_net sends the request when the closing transaction commits, or not at all."""

import threading

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from schema.engine import autocommit
from schema.queries import wake
from schema.queries.wake import Wake
from shared.clock import Deadline
from shared.errors import TriggerError
from shared.storage import storage_error
from shared.triggers.base import Caller, RunCall


class PostgresTrigger:
    """The wake-up commits with the data; needs the extension pg_net, which Supabase has."""

    def __init__(self, caller: Caller, engine: Engine) -> None:
        self._caller = caller
        self._engine = engine
        self._of_thread = threading.local()  # a run is one thread; many share the trigger

    def fire(self, deadline: Deadline) -> None:
        """See ``Trigger.fire``; nothing more when a closing has just sent one."""
        deadline.check("a request by the database")
        sent = getattr(self._of_thread, "sent", False)
        self._of_thread.sent = False
        if sent:
            return
        call = self._caller.run_call()
        try:
            with autocommit(self._engine) as connection:
                wake.post(connection, Wake(call.url, call.headers, call.body))
        except DBAPIError as exc:
            detail = f"pg_net did not take a request: {storage_error(exc).detail}"
            fix = "Enable the extension pg_net, or choose another RUN_TRIGGER."
            raise TriggerError(detail, fix=fix) from exc

    def in_closing(self) -> RunCall | None:
        """See ``Trigger.in_closing``."""
        return self._caller.run_call()

    def closed(self) -> None:
        """See ``Trigger.closed``."""
        self._of_thread.sent = True
