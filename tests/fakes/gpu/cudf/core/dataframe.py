from __future__ import annotations

import pandas as pd
from cupy import _traffic
from cupy._array import of_device

no_default = None


class DataFrame:
    """Columns that came from the device; another one is refused."""

    def __init__(self, data=None, index=None, columns=None, dtype=None, copy=None, nan_as_null=no_default):
        assert all(hasattr(column, "get") for column in data.values()), "a column is not on the device"
        self.columns = {name: of_device(column) for name, column in data.items()}
        assert len({len(column) for column in self.columns.values()}) == 1

    def to_pandas(self, *, nullable=False, arrow_type=False):
        _traffic.taken("to_pandas", *self.columns.values())
        return pd.DataFrame(self.columns)
