"""A kernel compiled and run: ``python -m treset.compute.kernel`` prints as lines of JSON what came of it.

It runs in a process of its own, because a CUDA error poisons the process in which it happens. Importing RAPIDS proves
nothing (it succeeds without a driver), NVML ignores ``CUDA_VISIBLE_DEVICES``, and the variable itself may hold names.
"""

from __future__ import annotations

import json
from typing import Any

_SOURCE = """
extern "C" __global__ void add_one(float* x, int n) {
    int i = blockDim.x * blockIdx.x + threadIdx.x;
    if (i < n) x[i] += 1.0f;
}
"""


def run() -> dict[str, Any]:
    """Compile and run one kernel on device 0 of those that are visible.

    Returns
    -------
    ``device``, ``capability``, ``free`` and ``total`` (bytes).
    """
    import cupy

    n = 1000
    x = cupy.zeros(n, dtype=cupy.float32)
    kernel = cupy.RawKernel(_SOURCE, "add_one")
    kernel((4,), (256,), (x, cupy.int32(n)))
    if float(x.sum()) != n:
        raise RuntimeError(f"a CUDA kernel added 1 to {n} zeros, and they sum to {float(x.sum())}")
    free, total = cupy.cuda.runtime.memGetInfo()
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return {
        "device": properties["name"].decode(),
        "capability": f"{properties['major']}.{properties['minor']}",
        "free": int(free),
        "total": int(total),
    }


def cuda() -> dict[str, int]:
    """CUDA versions (13000 is 13.0): ``driver`` (0: there is none) and ``runtime``, CuPy's."""
    import cupy

    return {"driver": cupy.cuda.runtime.driverGetVersion(), "runtime": cupy.cuda.runtime.runtimeGetVersion()}


def main() -> None:
    """Print the versions, then what the kernel's run found; an error ends the process, its last line says which."""
    print(json.dumps(cuda()), flush=True)
    print(json.dumps(run()), flush=True)


if __name__ == "__main__":
    main()
