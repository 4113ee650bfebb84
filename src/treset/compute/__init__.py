"""The only place that knows CPU or GPU.

One small interface, :class:`~treset.compute.interface.Backend`, two implementations. :func:`open_backend` chooses
once, in the job, on the node where it runs, and says what it chose and why.
"""

from treset.compute.device import DeviceError, need, too_large
from treset.compute.interface import Backend, Choice, PcaResult
from treset.compute.select import open_backend

__all__ = ["Backend", "Choice", "DeviceError", "PcaResult", "need", "open_backend", "too_large"]
