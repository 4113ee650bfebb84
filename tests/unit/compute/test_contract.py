"""Every call of a GPU library fits the library: its signatures come from the wheels, and nothing is imported."""

from __future__ import annotations

import ast
from inspect import Parameter, Signature
from pathlib import Path

import pytest
from tests.fakes.calls import SOURCES, Call, all_calls, calls
from tests.fakes.wheels import DISTRIBUTIONS, Parameters, Wheel, allowed, download, stored
from tests.fakes.write_signatures import REQUIREMENTS, signatures

from treset.compute.interface import Backend
from treset.compute.probe import LIBRARIES

VERSIONS = [(name, version) for name, versions in stored().items() for version in versions]
FAKES = Path(__file__).resolve().parents[2] / "fakes" / "gpu"


def bind(parameters: Parameters, call: Call) -> None:
    """Bind a call to a signature, as Python would; compiled code (None) takes anything."""
    if parameters is None:
        return
    signature = Signature(
        [
            Parameter(str(name), getattr(Parameter, str(kind)), default=Parameter.empty if default is None else default)
            for name, kind, default in parameters
        ]
    )
    signature.bind(*[None] * call.positional, **dict.fromkeys(call.keywords))


@pytest.mark.parametrize(("distribution", "version"), VERSIONS, ids=[f"{n}-{v}" for n, v in VERSIONS])
def test_every_call_fits_the_signature(distribution: str, version: str) -> None:
    known = stored()[distribution][version]
    mine = [call for call in all_calls() if DISTRIBUTIONS[call.name.split(".")[0]] == distribution]
    assert mine
    for call in mine:
        assert call.name in known, f"{call.where}: {call.name} is new: python -m tests.fakes.write_signatures"
        try:
            bind(known[call.name], call)
        except TypeError as error:
            pytest.fail(f"{call.where}: {call.name} of {distribution} {version}: {error}")


def test_a_keyword_that_the_library_has_not_is_found() -> None:
    for distribution, name, seed, most in (
        ("rapids-singlecell-cu13", "rapids_singlecell.tl.umap", "rng", 1),
        ("cugraph-cu13", "cugraph.leiden", "random_state", 5),
    ):
        for version in stored()[distribution].values():
            known = version[name]
            bind(known, Call("", 1, (seed,), ""))
            with pytest.raises(TypeError, match="n_jobs"):
                bind(known, Call("", 1, ("n_jobs",), ""))
            with pytest.raises(TypeError, match="positional"):
                bind(known, Call("", most + 1, (), ""))


def test_the_calls_of_every_source_are_found(tmp_path: Path) -> None:
    source = tmp_path / "new.py"
    source.write_text(
        "def f(x):\n    import cupy as cp\n    from cuml.neighbors import NearestNeighbors as N\n"
        "    model = N(n_neighbors=3)\n    model.fit(cp.asarray(x))\n    import cupyx.scipy.sparse as s\n"
        "    return s.csr_matrix(x), cp.cuda.Device(0)\n"
    )
    names = [call.name for call in calls(source)]
    assert sorted(names) == [
        "cuml.neighbors.NearestNeighbors", "cuml.neighbors.NearestNeighbors.fit", "cupy.asarray", "cupy.cuda.Device",
        "cupyx.scipy.sparse.csr_matrix",
    ]  # fmt: skip
    assert {path.name for path in SOURCES} >= {"gpu.py", "device.py", "kernel.py", "resident.py"}
    steps = {call.name for call in all_calls()}
    assert {f"rapids_singlecell.{name}" for name in ("pp.neighbors", "tl.umap", "pp.scrublet")} <= steps
    assert {"cugraph.leiden", "cugraph.Graph.from_cudf_edgelist", "cudf.DataFrame"} <= steps


def test_every_parameter_that_a_preset_decides_is_named() -> None:
    for versions in stored()["rapids-singlecell-cu13"].values():
        for call in all_calls():
            for name, _, default in versions.get(call.name) or []:
                decided = default is not None and default.startswith("Default(")
                assert not decided or name in call.keywords, f"{call.where}: {call.name}: {name} is left to a preset"


def test_every_step_is_seeded() -> None:
    seeded = set()
    for versions in [v for known in stored().values() for v in known.values()]:
        for call in all_calls():
            for name, _, _ in versions.get(call.name) or []:
                if name in ("rng", "random_state"):
                    assert name in call.keywords, f"{call.where}: {call.name} is not seeded"
                    seeded.add(call.name)
    assert {"rapids_singlecell.tl.umap", "rapids_singlecell.pp.neighbors", "cugraph.leiden"} <= seeded


def test_the_gpu_libraries_are_imported_inside_functions_and_are_probed_for() -> None:
    imported = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        top = {id(node) for node in tree.body}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                found = {name.split(".")[0] for name in names} & set(DISTRIBUTIONS)
                assert not found or id(node) not in top, f"{path.name} imports {found} at its top"
                imported |= found
    assert imported - {"cupyx"} <= set(LIBRARIES)


def test_both_backends_have_every_method_of_the_interface() -> None:
    from treset.compute.cpu import CpuBackend
    from treset.compute.gpu import GpuBackend

    names = {name for name in vars(Backend) if not name.startswith("_")}
    assert {"hold", "pca", "knn", "graph", "leiden", "umap", "harmony", "scrublet", "versions"} <= names
    for kind in (CpuBackend, GpuBackend):
        assert all(callable(getattr(kind, name)) for name in names)


def test_the_fakes_have_the_signatures_of_the_libraries() -> None:
    fakes = Wheel.__new__(Wheel)
    fakes.files = {str(path.relative_to(FAKES)): path.read_text() for path in FAKES.rglob("*.py")}
    for versions in stored().values():
        newest = versions[max(versions, key=lambda v: [int(part) for part in v.split(".")])]
        for name, parameters in newest.items():
            if parameters is not None:
                assert fakes.parameters(name) == parameters, name


def test_both_ends_of_what_pyproject_allows_are_in_the_contract() -> None:
    lowest, newest = allowed()
    versions = stored()["rapids-singlecell-cu13"]
    assert any(version.startswith(lowest.partition("==")[2]) for version in versions)
    assert "<" in newest, "without an upper bound there is no newest version to check"


@pytest.mark.parametrize("requirement", [r for r in REQUIREMENTS if not r.startswith("cupy")])
def test_the_stored_signatures_are_those_of_the_wheel(requirement: str, pytestconfig: pytest.Config) -> None:
    path, why = download(requirement, Path(pytestconfig.cache.mkdir("wheels")))
    if path is None:
        pytest.skip(f"{requirement} cannot be downloaded: {why}")
    wheel, distribution = Wheel(path), requirement.replace(">", "=").replace("<", "=").split("=")[0]
    known = stored()[distribution]
    assert wheel.version in known, f"{distribution} {wheel.version} is new: python -m tests.fakes.write_signatures"
    assert signatures(wheel, distribution) == known[wheel.version]
