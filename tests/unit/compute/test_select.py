"""The one decision, and its reasons in words."""

from __future__ import annotations

import re

import pytest

from treset.compute import DeviceError, open_backend, probe, too_large
from treset.compute.probe import Gpu, probe_gpu
from treset.errors import TresetError


def test_a_gpu_that_ran_a_kernel_is_usable(fake_gpu: pytest.MonkeyPatch) -> None:
    gpu = probe_gpu()
    fake_gpu.setattr("treset.compute.select.probe_gpu", lambda: gpu)
    assert gpu == Gpu(True, "Fake GPU (compute capability 9.0, 80 GB)", "", 72_000_000_000)
    for word in ("gpu", "auto"):
        choice = open_backend(word).choice
        assert (choice.requested, choice.used, choice.reason) == (word, "gpu", "a test kernel ran on it")
        assert choice.device == gpu.device
    assert open_backend("cpu").choice.used == "cpu"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("no-driver", r"no NVIDIA driver was found \(.*InsufficientDriver.*\): install one"),
        (
            "mismatch",
            r"CUDA mismatch: the driver is for CUDA 12.4, the installed RAPIDS for 13.0.*treset\[gpu-cu12\]",
        ),
        ("no-device", r"the driver sees no GPU \(CUDA_VISIBLE_DEVICES is '7'\): ask the scheduler"),
        ("crash", "a test kernel failed: exit code 139"),
        ("wrong-sum", "a test kernel failed: RuntimeError: a CUDA kernel added 1 to 1000 zeros, and they sum to 500"),
    ],
)
def test_the_reason_is_said_in_words(fake_gpu: pytest.MonkeyPatch, broken: str, reason: str) -> None:
    fake_gpu.setenv("TRESET_FAKE_GPU", broken)
    fake_gpu.setenv("CUDA_VISIBLE_DEVICES", "7")
    found = probe_gpu()
    fake_gpu.setattr("treset.compute.select.probe_gpu", lambda: found)
    choice = open_backend("auto").choice
    assert choice.used == "cpu" and choice.requested == "auto"
    assert re.match(f"no usable GPU: {reason}", choice.reason), choice.reason
    with pytest.raises(TresetError, match=f"no GPU is usable on .*{reason}.*or set backend: auto or cpu"):
        open_backend("gpu")


def test_a_gpu_that_hangs_is_not_usable(fake_gpu: pytest.MonkeyPatch) -> None:
    assert probe_gpu(timeout=0.01).reason == "a test kernel did not finish within 0 s"


def test_too_little_memory_is_said_with_the_figures(fake_gpu: pytest.MonkeyPatch) -> None:
    fake_gpu.setenv("TRESET_FAKE_GPU", "free=2e9")
    told = r"not enough memory: about 3.5 GB are needed, 2.0 GB free on Fake GPU"
    gpu = probe_gpu()
    assert gpu.usable
    fake_gpu.setattr("treset.compute.select.probe_gpu", lambda: gpu)
    choice = open_backend("auto", need=3_500_000_000).choice
    assert choice.used == "cpu" and choice.reason.startswith("no usable GPU: not enough memory: about 3.5 GB")
    with pytest.raises(TresetError, match=told):
        open_backend("gpu", need=3_500_000_000)
    assert open_backend("auto", need=1_500_000_000).choice.used == "gpu"


def test_a_pool_that_cannot_be_made_says_so(fake_gpu: pytest.MonkeyPatch) -> None:
    fake_gpu.setenv("TRESET_FAKE_GPU", "oom=pool")
    with pytest.raises(DeviceError, match="out of memory in setting up its memory pool"):
        open_backend("auto")


@pytest.mark.parametrize(
    ("cuda", "reason"),
    [
        (None, r"no NVIDIA driver was found and RAPIDS is not installed"),
        (11080, r"the NVIDIA driver is for CUDA 11.8, and RAPIDS needs 12.0 or newer"),
        (12040, r"RAPIDS is not installed \(cuml, rmm not found; the driver is for CUDA 12.4\): .*treset\[gpu-cu12\]"),
        (13010, r"RAPIDS is not installed \(cuml, rmm not found; the driver is for CUDA 13.1\): .*treset\[gpu-cu13\]"),
    ],
)
def test_without_rapids_the_pip_line_is_that_of_the_driver(
    monkeypatch: pytest.MonkeyPatch, cuda: int | None, reason: str
) -> None:
    monkeypatch.setattr(probe, "find_spec", lambda name: None if name in ("cuml", "rmm") else object())
    monkeypatch.setattr(probe, "driver_cuda", lambda: cuda)
    with pytest.raises(TresetError, match=reason):
        open_backend("gpu")
    assert open_backend("auto").choice.used == "cpu"


def test_a_machine_without_the_drivers_library_has_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_DRIVER_LIBRARY", "libcuda-that-is-not-there.so.1")
    assert probe.driver_cuda() is None


def test_the_cpu_is_taken_with_the_reason_once_the_gpu_failed(fake_gpu: pytest.MonkeyPatch) -> None:
    choice = open_backend("auto", fell_back="the GPU ran out of memory in Leiden").choice
    assert (choice.requested, choice.used) == ("auto", "cpu") and "Leiden" in choice.reason
    with pytest.raises(TresetError, match="the CPU is no substitute"):
        open_backend("gpu", fell_back="the GPU ran out of memory in Leiden")


def test_an_unknown_backend_is_refused_whatever_else_is_said() -> None:
    with pytest.raises(TresetError, match="allowed are auto, gpu and cpu"):
        open_backend("cuda", fell_back="x")


def test_a_graph_of_too_many_edges_is_no_matter_of_memory(fake_gpu: pytest.MonkeyPatch) -> None:
    assert too_large(10_000_000, 15) == "" == too_large(71_582_770, 15)
    said = too_large(72_000_000, 15)
    assert said.startswith("a graph of 72,000,000 cells and 15 neighbours has up to 2,160,000,000 edges")
    fake_gpu.setattr("treset.compute.select.probe_gpu", lambda: Gpu(True, "Fake GPU", "", 72_000_000_000))
    assert open_backend("auto", too_large=said).choice.reason == f"no usable GPU: {said}"
    with pytest.raises(TresetError, match=r"no GPU is usable .*2,147,483,100 at most: lower cohort.sketch_cells"):
        open_backend("gpu", too_large=said)
