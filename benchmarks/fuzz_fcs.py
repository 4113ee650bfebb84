"""The FCS reader on tens of thousands of broken files.

    [TRESET_DATA=folder] python benchmarks/fuzz_fcs.py [files] [seed]

Mutates small files of every layout and, with TRESET_DATA, the files of fcs_conformance up to 200 kB. Prints how many
were read and refused, and every crash, hang (5 s), blow-up of memory (more than 2 GiB beside what the process had) and
unclear message; ends with 1 where there is any. Default: 20,000 files, seed 0.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.fuzzing import attempt, mutated, seeds

_EXTRA = 2 * 2**30
_LARGEST = 200_000


def run(count: int = 20_000, seed: int = 0) -> dict[str, object]:
    """Try ``count`` files; returns the counts and the faults found."""
    files = seeds()
    folder = os.environ.get("TRESET_DATA")
    real = sorted((Path(folder) / "fcs_conformance").rglob("*")) if folder else []
    small = [path for path in real if path.is_file() and path.stat().st_size <= _LARGEST]
    files += [data for path in small if (data := path.read_bytes())[:3] == b"FCS"]
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + _EXTRA, resource.getrlimit(resource.RLIMIT_AS)[1]))
    found: Counter[str] = Counter()
    slowest, began = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "broken.fcs"
        for data in mutated(files, count, seed):
            start = time.perf_counter()
            found[attempt(path, data)] += 1
            slowest = max(slowest, time.perf_counter() - start)
    faults = {what: number for what, number in found.items() if what not in ("read", "refused")}
    return {
        "files": count, "seeds": len(files), "read": found["read"], "refused": found["refused"], "faults": faults,
        "slowest_s": round(slowest, 3), "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


if __name__ == "__main__":
    result = run(*(int(argument) for argument in sys.argv[1:]))
    for name, value in result.items():
        print(f"{name:<10} {value}")
    sys.exit(1 if result["faults"] else 0)
