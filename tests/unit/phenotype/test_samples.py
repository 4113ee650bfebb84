import numpy as np
import pytest

from treset.phenotype.gates import THRESHOLD_COLUMNS, apply_gates, fit_thresholds
from treset.phenotype.samples import add_spread, base_thresholds, reference, sample_thresholds
from treset.phenotype.tree import resolve
from treset.study.model import Condition, GateOverride, Population

TREE = [
    Population("T", None, (Condition(("CD3",), "+"),)),
    Population("CD4 T", "T", (Condition(("CD4",), "+"),)),
    Population("Treg", "CD4 T", (Condition(("CD25",), "+"), Condition(("CD25", "CD127"), "pos", "difference"))),
    Population("Tconv", "CD4 T", (), without=("Treg",)),
    Population("CD8 T", "T", (Condition(("CD4",), "-"),)),
    Population("B", None, (Condition(("CD3",), "-"),)),
]
#          n, CD3, CD4, CD25, CD127: median ion counts
KINDS = {
    "Treg": (120, 180, 150, 60, 6),
    "Tconv": (2000, 180, 150, 7, 45),
    "CD8 T": (1000, 180, 1, 1, 30),
    "B": (800, 1, 1, 8, 1),
}
MARKERS = ["CD3", "CD4", "CD25", "CD127"]
NODES = resolve(TREE, MARKERS)


def cells(seed, gain=(1.0, 1.0, 1.0, 1.0)):
    generator = np.random.default_rng(seed)
    parts, labels = [], []
    for kind, (n, *medians) in KINDS.items():
        expected = np.array(medians) * gain * np.exp(generator.normal(0, 0.42, (n, 4)))
        counts = np.maximum(generator.poisson(expected) - generator.random((n, 4)), 0)
        parts.append(np.arcsinh(counts / 5))
        labels += [kind] * n
    return dict(zip(MARKERS, np.vstack(parts).T, strict=True)), np.array(labels)


GAINS = {"s1": (1, 1, 1, 1), "s2": (1, 1, 0.7, 1.4), "s3": (1, 1, 1.4, 0.7), "s4": (1.2, 0.8, 1, 1)}


def cohort(gains=GAINS):
    drawn = {name: cells(i, gain) for i, (name, gain) in enumerate(gains.items())}
    columns = {m: np.concatenate([c[m] for c, _ in drawn.values()]) for m in MARKERS}
    sample = np.repeat(list(drawn), [len(label) for _, label in drawn.values()])
    batch = np.full(len(sample), "1")
    return columns, batch, sample, np.concatenate([label for _, label in drawn.values()])


def fitted(gains=GAINS, overrides=()):
    columns, batch, sample, _ = cohort(gains)
    table = fit_thresholds(columns, batch, NODES, sample=sample, overrides=overrides)
    return columns, batch, sample, add_spread(table, columns, batch, sample, NODES)


def of(table, parent, marker):
    return table[(table["population_parent"] == parent) & (table["marker"] == marker)]


def refine(columns, batch, sample, table, name):
    rows = sample == name
    around = reference(table, columns, batch, sample, NODES, "1")
    return sample_thresholds(table, {m: v[rows] for m, v in columns.items()}, "1", name, NODES, around)


def test_a_drift_of_the_stain_is_followed():
    columns, batch, sample, table = fitted()
    assert of(table, "CD4 T", "CD25")["spread"].iloc[0] == pytest.approx(np.std(np.log([1, 0.7, 1.4, 1])), abs=0.1)
    pooled = of(table, "CD4 T > CD25+", "CD25 - CD127")["threshold"].iloc[0]
    moved = [of(refine(*fitted(), name), "CD4 T > CD25+", "CD25 - CD127")["threshold"].iloc[0] for name in GAINS]
    # log 0.7 - log 1.4 and back, less the shrinkage
    assert moved[1] - pooled == pytest.approx(-np.log(2), abs=0.25)
    assert moved[2] - pooled == pytest.approx(np.log(2), abs=0.25)
    assert moved[0] == pytest.approx(pooled, abs=0.15)
    assert np.isfinite(table["threshold"]).all() and len(sample) == len(batch) == len(columns["CD3"])


def test_the_share_of_a_population_is_steadier_with_its_samples_thresholds():
    columns, batch, sample, table = fitted()
    names = list(GAINS)

    def shares(thresholds):
        return [
            apply_gates(
                {m: v[sample == s] for m, v in columns.items()}, batch[sample == s], NODES, thresholds(s),
                sample[sample == s],
            )["Treg"].sum()
            for s in names
        ]  # fmt: skip

    own = [refine(columns, batch, sample, table, s).assign(batch="", sample="") for s in names]
    fixed = shares(lambda _: table)
    followed = shares(lambda s: own[names.index(s)])
    # 120 in each; what a cut between overlapping modes loses, it must lose in every sample alike
    assert np.ptp(followed) < 0.5 * np.ptp(fixed)
    assert followed == pytest.approx([np.mean(followed)] * 4, rel=0.1)
    assert min(followed) > 0.8 * 120


def test_without_drift_noise_moves_nothing_far():
    steady = dict.fromkeys(GAINS, (1, 1, 1, 1))
    columns, batch, sample, table = fitted(steady)
    for name in steady:
        own = refine(columns, batch, sample, table, name)
        base = base_thresholds(table, "1", name)
        assert np.max(np.abs(own["threshold"] - base["threshold"])) < 0.1


def test_the_table_of_a_sample_is_complete_and_names_it():
    columns, batch, sample, table = fitted()
    own = refine(columns, batch, sample, table, "s2")
    assert list(own.columns) == THRESHOLD_COLUMNS
    assert set(own["sample"]) == {"s2"}
    keys = set(zip(table["population_parent"], table["marker"], strict=True))
    assert set(zip(own["population_parent"], own["marker"], strict=True)) == keys
    assert own.equals(refine(columns, batch, sample, table, "s2"))


def test_a_threshold_set_by_hand_is_not_moved():
    by_hand = (GateOverride("CD25", 1.7), GateOverride("CD4", 2.2, sample="s3"))
    columns, batch, sample, table = fitted(overrides=by_hand)
    own = refine(columns, batch, sample, table, "s3")
    assert of(own, "CD4 T", "CD25")[["threshold", "method"]].iloc[0].tolist() == [1.7, "manual"]
    assert of(own, "T", "CD4")[["threshold", "method"]].iloc[0].tolist() == [2.2, "manual"]
    assert of(refine(columns, batch, sample, table, "s2"), "T", "CD4")["method"].iloc[0] == "valley"


def test_a_study_of_one_sample_keeps_its_thresholds():
    columns, batch, sample, table = fitted({"s1": (1, 1, 1, 1)})
    own = refine(columns, batch, sample, table, "s1")
    assert own["threshold"].tolist() == table["threshold"].tolist()
