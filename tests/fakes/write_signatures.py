"""Write ``signatures.json`` from the wheels: ``python -m tests.fakes.write_signatures`` in the repository's root."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.fakes.calls import all_calls
from tests.fakes.wheels import DISTRIBUTIONS, SIGNATURES, Wheel, allowed, download

#: rapids-singlecell asks for RAPIDS 25.12 or newer and for CuPy 14 or newer. No wheel of cuGraph before 26.8 was to be
#: had; what treset calls of it is what rapids-singlecell calls, with the same keywords.
REQUIREMENTS = (
    *allowed(), "cuml-cu13==25.12.0", "cuml-cu13", "rmm-cu13==25.12.0", "rmm-cu13", "cudf-cu13==25.12.0", "cudf-cu13",
    "cugraph-cu13==26.8.0", "cugraph-cu13", "cupy-cuda13x",
)  # fmt: skip


def signatures(wheel: Wheel, distribution: str) -> dict:
    """Dotted name -> parameters, of what treset calls of this distribution."""
    names = sorted({call.name for call in all_calls() if DISTRIBUTIONS[call.name.split(".")[0]] == distribution})
    return {name: wheel.parameters(name) for name in names}


def main() -> int:
    cache = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir()) / "treset-wheels"
    found: dict[str, dict] = {}
    for requirement in REQUIREMENTS:
        path, why = download(requirement, cache)
        if path is None:
            print(f"{requirement}: {why}")
            return 1
        wheel, distribution = Wheel(path), requirement.replace(">", "=").replace("<", "=").split("=")[0]
        found.setdefault(distribution, {})[wheel.version] = signatures(wheel, distribution)
        print(f"{distribution} {wheel.version}")
    SIGNATURES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
