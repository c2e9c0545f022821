"""What a command of the command line is: one file with these four names."""

import argparse
from typing import Protocol


class Command(Protocol):
    """A module of this package."""

    NAME: str
    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""
        ...

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit code: 0 done, 1 failed, 2 bad usage."""
        ...
