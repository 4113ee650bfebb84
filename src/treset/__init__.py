"""treset: single-cell phenotyping for immunotherapy trials."""

from importlib.metadata import version as _version

__version__ = _version("treset")
