"""The command line. What a command needs is imported when it is called, so that help is quick."""

import os
import sys

from delivery.cli import analytics, begin, clients, deliver, keep, share, status  # noqa: F401 - each adds its commands
from delivery.cli.command import EXIT_CODES, cli

__all__ = ["EXIT_CODES", "cli", "main"]


def main() -> None:
    """The entry point."""
    # Freed batches go back to the system; Arrow, which would keep them, asks when it is imported.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        cli(standalone_mode=True)
    except BrokenPipeError:
        sys.exit(1)
