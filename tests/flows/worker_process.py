"""Forks a command line whenever it is told to, so that a hundred processes cost what one costs.

It imports the product once and opens nothing; each child is ``tallybook ..`` from its first line
on, with an environment, a database engine and an identity of its own. Orders come on stdin as
``{"args": [..], "env": {..}, "elsewhere": bool}``; the child's process id is told on stdout, and
its exit code once it has ended. One child at a time; what children print goes to stderr.

``elsewhere`` is a machine without /proc: nobody can tell that such a holder is dead, so that only
the end of its lease frees what it held.
"""

import json
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from functions.cli import __main__ as cli
from shared import holder

IMPORTED = (
    "functions.cli.source",
    "functions.cli.sync",
    "psycopg",
    "shared.sources.chains.blockscout",
    "shared.sources.chains.etherscan",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
FAILED_ITSELF = 70


def main() -> None:
    """Obey until stdin ends."""
    for name in IMPORTED:
        import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
        _tell(child)
        _tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(order: dict[str, Any]) -> None:
    """Be the command that was ordered, and end with it."""
    code = FAILED_ITSELF
    try:
        os.dup2(2, 1)
        os.environ.clear()  # noqa: TID251 - what the product's settings are to read
        os.environ.update(order["env"])  # noqa: TID251
        if order["elsewhere"]:
            holder.PROC = Path("/nowhere")
        code = cli.main(order["args"])
    except BaseException:  # noqa: BLE001 - a child never becomes its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
