"""Strangers' files run no code, no user string becomes markup, paths go where they may, and logs hold no identities."""

from __future__ import annotations

import ast
import pickle
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.workflow.tiny import make_tiny, undisturbed
from treset.errors import TresetError
from treset.io import read_sample
from treset.io.fcs_write import write_fcs
from treset.jobs import logged
from treset.jobs.monitor import monitor
from treset.jobs.prepare import PrepareSettings, prepare
from treset.jobs.report import report
from treset.study import panel_rows, read_study

ROOT = Path(__file__).resolve().parents[2]
# without a slash, which no population's name may hold
HOSTILE = "<script>alert(7)<img src=x onerror=alert(8)>&\"'"
SHIPPED = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py"), *(ROOT / "envs").glob("*.py")]
#: What would run a stranger's text or file as code, or a shell on a stranger's string.
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads",
    "joblib.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "shelve.open", "dill.load",
}  # fmt: skip


def _name(node: ast.expr) -> str:
    return ast.unparse(node)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_is_run(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert _name(node.func) not in FORBIDDEN, f"{path}:{node.lineno}"
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            for option in ("shell", "allow_pickle"):
                asked = given.get(option)
                assert asked is None or _name(asked) == "False", f"{path}:{node.lineno}: {option}"
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & {"pickle", "marshal", "shelve", "dill"}, path


def test_yaml_is_read_by_the_safe_loader_only() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in SHIPPED)
    assert set(re.findall(r"yaml\.(\w*[Ll]oader)", text)) <= {"SafeLoader", "CSafeLoader"}


class _Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("place", ["uns/model", "obs/clinic", "X"])
def test_an_h5ad_with_a_pickle_in_it_runs_no_code(tmp_path: Path, place: str) -> None:
    import anndata

    trap, file = tmp_path / "trap", tmp_path / "a.h5ad"
    counts = np.random.default_rng(0).poisson(2.0, (600, 12)).astype("f4")
    data = anndata.AnnData(counts, var=pd.DataFrame(index=[f"GENE{i}" for i in range(12)]))
    data.uns["note"] = "x"
    data.write_h5ad(file)
    payload = np.void(pickle.dumps(_Trap(trap)))
    with h5py.File(file, "r+") as opened:
        if place in opened:
            del opened[place]
        for kind in ("pickle", "object"):
            opened[place] = payload
            opened[place].attrs["encoding-type"] = kind
            opened[place].attrs["encoding-version"] = "0.1.0"
            opened.flush()
            try:
                read_sample(file, "rna")
            except TresetError as error:
                assert "a.h5ad" in str(error)
            del opened[place]
    assert not trap.exists()


@pytest.mark.parametrize("how", ["link", "external", "virtual"])
@pytest.mark.parametrize("suffix", [".h5ad", ".h5"])
def test_a_file_that_brings_in_another_is_refused(tmp_path: Path, how: str, suffix: str) -> None:
    other, file = tmp_path / "secret.h5", tmp_path / f"a{suffix}"
    with h5py.File(other, "w") as opened:
        opened["x"] = np.zeros(4)
    with h5py.File(file, "w") as opened:
        group = opened.create_group("matrix/deep")
        if how == "link":
            group["x"] = h5py.ExternalLink(str(other), "/x")
        elif how == "external":
            group.create_dataset("x", (4,), "f8", external=[(str(other), 0, 32)])
        else:
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(str(other), "x", (4,))
            group.create_virtual_dataset("x", layout)
    with pytest.raises(TresetError, match=rf"a{suffix}: matrix/deep/x (is a link to|has its values in) another file"):
        read_sample(file, "rna")


def test_a_sample_id_cannot_leave_its_folder_nor_be_markup(tmp_path: Path) -> None:
    config = make_tiny(tmp_path)
    sheet = tmp_path / "samples.tsv"
    text = sheet.read_text()
    for name in ("../P01_D0", "/tmp/x", "a\\b", "..", "<b>", "a\0b", "-rf"):
        sheet.write_text(text.replace("P01_D0\t", f"{name}\t", 1))
        with pytest.raises(TresetError, match="samples"):
            read_study(config)


def test_a_study_name_cannot_leave_the_results(tmp_path: Path) -> None:
    config = make_tiny(tmp_path)
    text = config.read_text()
    for name in ("../elsewhere", "/tmp/x", "a/b", "<b>"):
        config.write_text(text.replace("study: tiny", f"study: {name}"))
        with pytest.raises(TresetError, match="study"):
            read_study(config)


def test_inputs_may_lie_anywhere_and_are_never_written(tmp_path: Path) -> None:
    study = tmp_path / "study"
    config = make_tiny(study)
    (tmp_path / "store").mkdir()
    (study / "data" / "P01_D0.fcs").rename(tmp_path / "store" / "one.fcs")
    (study / "data" / "P01_D8.fcs").rename(tmp_path / "store" / "two.fcs")
    (study / "data" / "P01_D8.fcs").symlink_to(tmp_path / "store" / "two.fcs")
    sheet = study / "samples.tsv"
    sheet.write_text(sheet.read_text().replace("data/P01_D0.fcs", "../store/one.fcs"))
    found = read_study(config).samples["file"]
    assert [Path(name).resolve().name for name in found] == ["one.fcs", "two.fcs"]
    sheet.write_text(sheet.read_text().replace("../store/one.fcs", str(tmp_path / "store" / "one.fcs")))
    assert Path(read_study(config).samples["file"].iloc[0]) == tmp_path / "store" / "one.fcs"
    # a link and its target are one file
    sheet.write_text(sheet.read_text().replace(str(tmp_path / "store" / "one.fcs"), "../store/two.fcs"))
    with pytest.raises(TresetError, match="already that of the sample in line"):
        read_study(config)


def test_what_a_file_says_of_the_patient_reaches_no_log_and_no_result(tmp_path: Path) -> None:
    config = make_tiny(tmp_path / "study", events=600)
    study = read_study(config)
    file = Path(study.samples["file"].iloc[0])
    secret = "Erika Mustermann 1964-08-12"
    from treset.io.fcs import read_fcs

    header, events = read_fcs(file)
    keywords = {"$SRC": secret, "PATIENT NAME": secret, "$SMNO": secret, "$OP": secret, "$FIL": secret, "$COM": secret}
    write_fcs(file, events, header.channels, header.markers, keywords)
    assert secret.encode() in file.read_bytes()
    settings = PrepareSettings(
        study.modality, tuple(panel_rows(study)), study.aliases, study.quality, study.normalise, study.seed
    )
    out = tmp_path / "out"
    with logged(str(out / "prepare.log")):
        prepare("P01_D0", "b1", file, settings, out / "prepared.h5ad", out / "quality.tsv", out / "input.json")
    for path in out.iterdir():
        assert b"Mustermann" not in path.read_bytes(), path
        assert b"1964-08-12" not in path.read_bytes(), path


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a study whose every label is markup, computed from its raw files."""
    folder = tmp_path_factory.mktemp("hostile")
    config = make_tiny(folder)
    tree = (ROOT / "src/treset/data/populations_cytometry.yaml").read_text(encoding="utf-8")
    quoted = "'" + HOSTILE.replace("'", "''")
    tree = re.sub(r"(name: |parent: |\[)Treg(?=[\]\n])", lambda found: f"{found.group(1)}{quoted}Treg'", tree)
    (folder / "populations.yaml").write_text(tree, encoding="utf-8")
    text = config.read_text()
    text = text.replace("name: treg_expansion", f"name: {quoted}E'")
    text = text.replace("population: Treg", f"population: {quoted}Treg'")
    text = text.replace("visit: D8", f"visit: {quoted}D8'")
    config.write_text(text + f"title: {quoted}'\npopulations: populations.yaml\n")
    sheet = pd.read_csv(folder / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
    sheet["visit"] = sheet["visit"].replace("D8", HOSTILE + "D8")
    for column in ("patient", "arm", "disease", "batch", "stimulus", "site"):
        sheet[column] = HOSTILE + column
    # by hand: quotes are text in a sheet, not marks around a cell
    lines = ["\t".join(sheet.columns), *("\t".join(row) for row in sheet.to_numpy().tolist())]
    (folder / "samples.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study = read_study(config)
    profiles = undisturbed(config, study.results)
    monitor("treg", profiles, study, study.results / "monitors" / "treg")
    report(study, study.results)
    return (study.results / "report.html").read_text(encoding="utf-8")


def test_no_user_string_becomes_markup(hostile_page: str) -> None:
    assert "alert(7)" in hostile_page
    page = _Page()
    page.feed(hostile_page)
    assert "alert(7)" not in {tag for tag, _ in page.elements}
    assert sum(tag == "script" for tag, _ in page.elements) == 2
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.lower().startswith("on")], (tag, attributes)
    assert "<script>alert" not in hostile_page and "<img" not in hostile_page


def test_the_report_loads_nothing_from_elsewhere(hostile_page: str) -> None:
    page = _Page()
    page.feed(hostile_page)
    for tag, attributes in page.elements:
        for name in ("src", "href", "data", "action", "poster", "srcset", "xlink:href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, name, target)
    assert "@import" not in hostile_page and not re.search(r"url\((?!['\"]?(data:|#))", hostile_page)
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "content" in a and "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'")


def test_the_installed_interpreter_is_the_one_that_runs() -> None:
    # `treset run` starts Snakemake by its own interpreter, never by what PATH finds first
    text = (ROOT / "src/treset/cli/workflow.py").read_text(encoding="utf-8")
    assert "sys.executable" in text and Path(sys.executable).exists()
