"""The commands: init, check, run, doctor, simulate, monitor, power, parity, gates, debarcode, spillover, export."""

from __future__ import annotations

import sys

from treset.errors import TresetError


def main() -> None:
    """Entry point of ``treset``: a fault that a user can mend ends it with exit code 2 and its sentence."""
    from treset.cli.commands import app

    try:
        app()
    except TresetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
