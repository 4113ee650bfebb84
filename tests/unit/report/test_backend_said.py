"""Where things ran, from every sample's own record to the sentence in the report."""

from __future__ import annotations

from treset.provenance.record import _devices
from treset.report.sections.methods import backend

GPU = {"requested": "auto", "used": "gpu", "device": "H100", "reason": "a test kernel ran on it"}


def ran(used: str, device: str, reason: str) -> dict[str, str]:
    own = {"requested": "auto", "used": used, "device": device, "reason": reason}
    return {f"map_backend_{key}": value for key, value in own.items()}


def test_samples_are_counted_by_where_they_were_mapped() -> None:
    on_gpu, on_cpu = ran("gpu", "H100", "a test kernel ran on it"), ran("cpu", "2 cores", "the GPU ran out of memory")
    rows = _devices([on_cpu, on_gpu, on_gpu])
    assert [(row["used"], row["samples"]) for row in rows] == [("gpu", 2), ("cpu", 1)]
    assert _devices([]) == []


def test_a_sample_that_ran_elsewhere_is_said() -> None:
    same = [{**GPU, "samples": 3}]
    assert backend({"backend": {**GPU, "map": same}}) == (
        "The cohort step ran on the gpu backend (H100); auto was requested: a test kernel ran on it. The samples were "
        "mapped there too."
    )
    other = {"used": "cpu", "device": "2 cores", "reason": "the GPU ran out of memory in Leiden", "samples": 1}
    said = backend({"backend": {**GPU, "map": [*same, other]}})
    assert "3 samples were mapped on the gpu backend (H100): a test kernel ran on it." in said
    assert said.endswith("1 sample was mapped on the cpu backend (2 cores): the GPU ran out of memory in Leiden.")
    # results from before the record say nothing of the samples
    assert backend({"backend": GPU}).endswith("a test kernel ran on it.")
    assert backend({}) == "Which backend ran is not recorded in the results."
