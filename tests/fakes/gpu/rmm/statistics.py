from __future__ import annotations

from types import SimpleNamespace

_ENABLED: list[bool] = []


def enable_statistics():
    _ENABLED.append(True)


def push_statistics():
    assert _ENABLED


def pop_statistics():
    return SimpleNamespace(peak_bytes=1_000_000)
