from __future__ import annotations

from cupy._array import of_device

no_default = None


class Series:
    def __init__(self, data=None, index=None, dtype=None, name=None, copy=False, nan_as_null=no_default):
        assert hasattr(data, "get"), "not on the device"
        self.values = of_device(data)
