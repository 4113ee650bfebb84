import numpy as np
import pandas as pd
import pytest

from treset.errors import TresetError
from treset.normalise import protein
from treset.phenotype import protein as cuts
from treset.phenotype.batch import correct, follow
from treset.phenotype.rna_tree import described, study_tree
from treset.study.faults import Collector
from treset.study.model import Condition, Population
from treset.study.populations import packaged, read_populations, read_signatures


def population(name, parent, rule, without=(), note=None):
    conditions = tuple(Condition(tuple(k.split("|")), v) for k, v in rule.items())
    return Population(name, parent, conditions, without, note=note)


GENES = (
    population("T", None, {"CD3D": "+"}),
    population("CD4 T", "T", {"CD8A": "-"}),
    population("Treg", "CD4 T", {"FOXP3": "hi"}, note="unsure from RNA alone"),
    population("Tconv", "CD4 T", {}, ("Treg",)),
    population("Platelets", None, {"PPBP": "+"}),
)
CYTOMETRY = (
    population("T", None, {"CD3": "+"}),
    population("CD4 T", "T", {"CD4": "+"}),
    population("Treg", "CD4 T", {"CD127": "lo", "CD25": "hi"}),
    population("Tconv", "CD4 T", {}, ("Treg",)),
    population("Basophils", None, {"CD123": "+"}),
)
ALL = ["CD3D", "CD8A", "FOXP3", "PPBP", "CD4", "CD3E"]
PROTEINS = ["CD3 (protein)", "CD4 (protein)", "CD127 (protein)"]


def tree(failed=()):
    return {n.name: n for n in study_tree(GENES, ALL, PROTEINS, CYTOMETRY, failed)}


def test_protein_is_read_where_it_was_measured_and_genes_where_not():
    nodes = tree()
    assert nodes["CD4 T"].rules[0].columns == ("CD4 (protein)",)
    assert "read on surface protein" in nodes["CD4 T"].notes
    assert nodes["Treg"].rules[0].columns == ("FOXP3",)
    assert any("CD25 was not measured" in note and "genes" in note for note in nodes["Treg"].notes)
    assert nodes["Tconv"].without == ("Treg",)
    assert nodes["Platelets"].measurable


def test_what_neither_protein_nor_genes_can_tell_is_not_measurable_and_says_why():
    node = tree()["Basophils"]
    assert not node.measurable
    assert "CD123 was not measured" in " ".join(node.notes)


def test_a_protein_that_failed_is_not_cut_but_replaced_by_genes():
    node = tree(failed=["CD3 (protein)"])["T"]
    assert node.rules[0].columns == ("CD3D",)
    assert "does not tell positive from negative" in " ".join(node.notes)


def test_without_protein_the_gene_tree_stands():
    assert [n.name for n in study_tree(GENES, ALL)] == [p.name for p in GENES]


def test_the_notes_say_how_sure_the_calls_are():
    cells = pd.DataFrame({"population": ["Treg"] * 2 + ["Tconv"], "population_confidence": [0.6, 0.96, 0.8]})
    node = {n.name: n for n in described(study_tree(GENES, ALL), GENES, cells)}["Treg"]
    text = "; ".join(node.notes)
    assert "2 cells" in text and "0.78" in text and "1 of them with 0.9 or more" in text and "unsure from RNA" in text


def test_clr_divides_a_cells_own_background_out():
    counts = np.array([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])
    # by hand: geometric mean of 1, 2, 4 is 2
    assert protein.clr(counts)[0] == pytest.approx(np.log1p([0.0, 0.5, 1.5]))
    assert protein.clr(counts)[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("column", "marker"),
    [
        ("CD3", "CD3"),
        ("CD3_TotalSeqB", "CD3"),
        ("anti-human_CD45RA", "CD45RA"),
        ("IL7Ralpha (CD127)", "CD127"),
        ("MHCII (HLA-DR)", "HLA-DR"),
    ],
)
def test_antibody_names(column, marker):
    assert protein.marker_names([column]) == {column: marker}


def test_isotypes_and_doubled_markers_are_left_out_and_said():
    table = pd.DataFrame(np.ones((2, 4)), columns=["CD4", "IgG1", "PD-1 (CD279)", "PD1 (CD279)"])
    found, notes = protein.normalised(table)
    assert list(found) == ["CD4 (protein)"]
    assert any("IgG1" in note for note in notes) and any("one marker" in note for note in notes)


def test_an_antibody_that_binds_nothing_does_not_separate():
    generator = np.random.default_rng(0)
    background = np.abs(generator.normal(0.5, 0.25, 1000))
    assert not cuts.separates(background)
    assert cuts.separates(np.concatenate([background, generator.normal(3.0, 0.4, 300)]))


class Shift:
    """A stand-in that takes each batch's mean out."""

    @staticmethod
    def knn(reference, queries, k):
        from treset.compute import open_backend

        return open_backend("cpu").knn(reference, queries, k)

    @staticmethod
    def harmony(x, batch, seed):
        means = {b: x[batch == b].mean(axis=0) for b in set(batch)}
        return (x - np.array([means[b] for b in batch]) + x.mean(axis=0)).astype(np.float32)


def test_mapped_cells_move_with_their_batch():
    generator = np.random.default_rng(0)
    batch = np.repeat(["a", "b"], 200)
    sketch = (generator.normal(size=(400, 3)) + 5.0 * (batch == "b")[:, None]).astype(np.float32)
    corrected = correct(sketch, batch, "rna", Shift(), 0)
    cells = np.array([[0.0, 0, 0], [5.0, 5, 5]], dtype=np.float32)
    moved = follow(cells, np.array(["a", "b"]), sketch, corrected, batch, Shift())
    assert np.abs(moved[0] - moved[1]).max() < 0.3
    with pytest.raises(TresetError, match="batch c"):
        follow(cells, np.array(["a", "c"]), sketch, corrected, batch, Shift())


def test_one_batch_is_not_corrected_and_cytometry_is_refused():
    x = np.ones((3, 2), dtype=np.float32)
    assert correct(x, np.full(3, "a"), "rna", Shift(), 0) is x
    with pytest.raises(TresetError, match="thresholds follow"):
        correct(x, np.full(3, "a"), "mass_cytometry", Shift(), 0)


def test_harmony_without_the_package_names_the_cure():
    from importlib.util import find_spec

    from treset.compute import open_backend

    generator = np.random.default_rng(0)
    kind, batch = generator.integers(0, 4, 1200), np.where(generator.random(1200) < 0.5, "a", "b")
    shift = generator.normal(size=10) * (batch == "b")[:, None]
    x = (8.0 * np.eye(4, 10)[kind] + generator.normal(size=(1200, 10)) + shift).astype(np.float32)
    if find_spec("harmonypy") is None:
        with pytest.raises(TresetError, match="pip install"):
            open_backend("cpu").harmony(x, batch, 0)
        return

    def centre(z, k, b):
        return z[(kind == k) & (batch == b)].mean(axis=0)

    def gap(z):
        return max(np.linalg.norm(centre(z, k, "a") - centre(z, k, "b")) for k in range(4))

    found = open_backend("cpu").harmony(x, batch, 0)
    assert gap(found) < gap(x) / 3
    assert np.linalg.norm(centre(found, 0, "a") - centre(found, 1, "b")) > 8.0
    assert found.tobytes() == open_backend("cpu").harmony(x, batch, 0).tobytes()


def test_the_packaged_rna_tree_and_signatures_name_their_sources():
    faults = Collector()
    tree = read_populations(packaged("populations", "rna"), faults)
    sets = read_signatures(packaged("signatures", "rna"), faults)
    assert all(p.source and p.ontology for p in tree) and all(s.source for s in sets)
    assert "AUROC" in next(p.note for p in tree if p.name == "Treg")
    assert {s.name for s in sets} >= {"Treg identity", "Treg activation", "Teff activation", "Naive B", "Memory B"}
