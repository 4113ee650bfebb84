"""``python -m treset``."""

from treset.cli import main

main()
