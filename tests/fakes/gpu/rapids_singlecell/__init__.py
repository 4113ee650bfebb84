from . import get, pp, tl

__all__ = ["get", "pp", "tl"]
__version__ = "0.18.1+fake"
