from .core.dataframe import DataFrame
from .core.series import Series

__all__ = ["DataFrame", "Series"]
__version__ = "26.10.0+fake"
