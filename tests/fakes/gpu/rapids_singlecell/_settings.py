from __future__ import annotations


class Default:
    """A default that a preset of the environment decides: treset must not leave one unnamed."""

    def __init__(self, preset=None) -> None:
        self.preset = preset
