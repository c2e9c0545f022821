"""Known bugs, planted one at a time: each must be found, or the simulation proves nothing.

A mutant is an exact text replacement applied by an import hook in a subprocess, so the product
carries no flags. A target text that is missing fails the gate: it has to follow the code.

``python -m tests.simulation.mutants`` prints the table; ``--one NAME --seeds N`` hunts one mutant.
"""

import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import io
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from tests.simulation.bugs import CONTROL, MUTANTS, Mutant

BROKEN, FOUND, SURVIVED = 3, 0, 1
# A replacement that cannot run at all would be "found" by anything.
NOT_A_FIND = (
    NameError,
    AttributeError,
    SyntaxError,
    ImportError,
    TypeError,
    sqlite3.Error,
)
TESTS_FAILED = 1


class _Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from changed text."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Ours for the one module, nobody else's."""
        del target
        if name != self._mutant.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        assert found is not None
        return importlib.util.spec_from_loader(name, self, origin=found.origin)

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed text; a missing target is an error of its own."""
        assert module.__spec__ is not None
        assert module.__spec__.origin is not None
        text = Path(module.__spec__.origin).read_text(encoding="utf-8")
        changed = text.replace(self._mutant.old, self._mutant.new)
        exec(compile(changed, module.__name__, "exec"), module.__dict__)  # noqa: S102 - our own text


def hunt(mutant: Mutant, seeds: int) -> int:
    """Plant the bug in this process and look for it; the exit code."""
    spec = importlib.util.find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    if Path(spec.origin).read_text(encoding="utf-8").count(mutant.old) != 1:
        print(f"its target text is not in {mutant.module} exactly once")
        return BROKEN
    sys.meta_path.insert(0, _Planter(mutant))
    if mutant.tests is not None:
        return tested(mutant.tests)
    from tests.simulation.schedule import Schedule  # noqa: PLC0415 - after the bug is planted

    for seed in range(seeds):
        try:
            Schedule(seed).run()
        except NOT_A_FIND as exc:
            print(f"the changed text does not run: {exc!r}")
            return BROKEN
        except Exception as exc:  # noqa: BLE001 - any failure is a find
            reason = str(exc).splitlines()[0][:90] if str(exc) else type(exc).__name__
            print(f"found at seed {seed}: {reason}")
            return FOUND
    print(f"survived {seeds} seeds")
    return SURVIVED


def tested(tests: str) -> int:
    """Run tests against the planted bug: a failed one is a find, a broken run is none."""
    with redirect_stdout(io.StringIO()) as said:
        code = pytest.main([tests, "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"])
    failed = [line for line in said.getvalue().splitlines() if line.startswith("FAILED")]
    if code == TESTS_FAILED and failed:
        print(f"found by {failed[0].removeprefix('FAILED ')[:90]}")
        return FOUND
    print(f"survived {tests} ({code!r})")
    return SURVIVED


def hunted(mutant: Mutant) -> tuple[int, str]:
    """Hunt in a subprocess; the exit code and what it said."""
    command = [sys.executable, "-m", "tests.simulation.mutants", "--one", mutant.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return done.returncode, said[-1] if said else ""


def main() -> int:
    """Hunt one mutant here, or all in subprocesses; 0 when every one is found."""
    parser = argparse.ArgumentParser(description="plant known bugs and see that they are found")
    parser.add_argument("--one", metavar="NAME", help="hunt only this one, in this process")
    parser.add_argument("--seeds", type=int, help="at most so many seeds")
    args = parser.parse_args()
    if args.one:
        mutant = next(each for each in (*MUTANTS, CONTROL) if each.name == args.one)
        return hunt(mutant, args.seeds or mutant.seeds)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(hunted, MUTANTS))
        clean, nothing = hunted(CONTROL)
    for mutant, (code, said) in zip(MUTANTS, results, strict=True):
        print(f"{'ok ' if code == FOUND else 'NOT'}  {mutant.name:36} {said}")
    print(f"{'ok ' if clean == SURVIVED else 'NOT'}  {'nothing planted':36} {nothing}")
    return 0 if clean == SURVIVED and all(code == FOUND for code, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
