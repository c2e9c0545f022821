"""Who holds a lease: enough of a process's identity to know, on the same machine, that it is dead.

Stealing a lease is always safe (the fencing token sees to that); knowing the holder is dead only
makes it polite, so that a killed process can be started again without waiting for its lease to end.
"""

import os
import uuid
from pathlib import Path

PROC = Path("/proc")


def current() -> str:
    """This process: boot of the machine, process namespace, process id and start time."""
    start = _start_of(os.getpid())
    place = _place()
    if start is None or place is None:
        return f"unknown/{uuid.uuid4().hex}"
    return f"{place}/{os.getpid()}/{start}"


def is_dead(holder: str | None) -> bool:
    """True only when the holder is a process of this machine and namespace that has ended."""
    parts = (holder or "").rsplit("/", 2)
    if len(parts) != 3 or parts[0] != _place() or not parts[1].isdecimal():  # noqa: PLR2004 - three parts
        return False
    return _start_of(int(parts[1])) != parts[2]


def _place() -> str | None:
    """The boot of this machine and the namespace that process ids count in."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def _start_of(process_id: int) -> str | None:
    """The start of a process in clock ticks since boot; None when it has ended."""
    try:
        fields = (PROC / str(process_id) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]
