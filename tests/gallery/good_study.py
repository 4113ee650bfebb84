"""One good minimal study on disk; the gallery breaks one thing of it at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from treset.io.fcs import write_fcs
from treset.io.tenx import write_10x_h5

CONFIG = """\
study: tiny
title: A tiny study
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 1
quality:
  cytometry: {viability: false}
monitors:
  treg:
    endpoints:
      - name: treg_expansion
        role: primary
        population: Treg
        measure: percent_of_parent
        visit: D8
      - {name: cd25, role: secondary, population: Treg, measure: median, marker: CD25, visit: D8, scale: difference}
  discovery: {column: visit, reference: D0, test: D8}
"""

SAMPLES = """\
sample\tfile\tpatient\tvisit\tday\tarm\tbatch\tage
007\tdata/a.fcs\t01\tD0\t0\tactive\tb1\t60
008\tdata/b.fcs\t01\tD8\t8\tactive\tb1\t60
009\tdata/c.fcs\t02\tD0\t0\tactive\tb1\t51
010\tdata/d.fcs\t02\tD8\t8\tactive\tb1\t51
"""

LINEAGE = ("CD3", "CD19", "CD4", "CD8", "CD25", "CD127", "CD45RA", "CD56", "CD14", "HLA-DR")
STATE = ("Ki-67",)
MARKERS = (*LINEAGE, *STATE)
CHANNELS = tuple(f"Xy{140 + number}Di" for number in range(len(MARKERS)))
PANEL = "channel\tmarker\trole\tcofactor\n" + "".join(
    f"{channel}\t{marker}\t{'lineage' if marker in LINEAGE else 'state'}\t\n"
    for channel, marker in zip(CHANNELS, MARKERS, strict=True)
)

POPULATIONS = """\
populations:
  - name: T
    rule: {CD3: "+", "CD19|CD20": "-"}
  - name: CD4 T
    parent: T
    rule: {CD4: "+", CD8: "-"}
  - name: Treg
    parent: CD4 T
    rule: {CD127: "lo", CD25: "hi"}
    where_measured: {FOXP3: "+"}
    ontology: CL:0000815
"""


def events(seed: int, n: int = 600) -> np.ndarray:
    """Counts of ``n`` events, shape (n, channels)."""
    return np.random.default_rng(seed).gamma(1.0, 20.0, size=(n, len(MARKERS))).astype(np.float32)


class GoodStudy:
    """A good study's folder, with tools to break it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        (root / "data").mkdir(parents=True, exist_ok=True)
        self.write("config.yaml", CONFIG)
        self.write("samples.tsv", SAMPLES)
        self.write("panel.tsv", PANEL)
        for seed, name in enumerate("abcd"):
            write_fcs(root / "data" / f"{name}.fcs", events(seed), CHANNELS, MARKERS)

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8", newline="")

    def text(self, name: str) -> str:
        return (self.root / name).read_text("utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace text that must be there exactly once."""
        text = self.text(name)
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def append(self, name: str, text: str) -> None:
        self.write(name, self.text(name) + text)

    def rewrite(self, name: str, change: object = None, channels: tuple = CHANNELS, markers: tuple = MARKERS) -> None:
        """Write a sample's file again, its events changed in place by ``change``."""
        data = events(ord(name[0]))
        if callable(change):
            data = np.asarray(change(data))
        write_fcs(self.root / "data" / name, data, channels, markers)

    def own_tree(self) -> None:
        """Use a populations file of the study's own."""
        self.write("populations.yaml", POPULATIONS)
        self.append("config.yaml", "populations: populations.yaml\n")

    def rna(self) -> None:
        """Turn it into an RNA study of two small 10x files a patient."""
        genes = ["CD3D", "CD3E", "CD79A", "MS4A1", "CD8A", "NKG7", "FOXP3", "IL2RA", "CTLA4", "LYZ", "CD14", "MT-CO1"]
        for seed, name in enumerate("abcd"):
            counts = np.random.default_rng(seed).poisson(2.0, size=(600, len(genes)))
            write_10x_h5(self.root / "data" / f"{name}.h5", counts, [f"B{i}" for i in range(600)], genes)
        self.write("samples.tsv", SAMPLES.replace(".fcs", ".h5"))
        self.replace("config.yaml", "mass_cytometry", "rna")
        self.replace("config.yaml", "panel: panel.tsv\n", "")
        self.replace("config.yaml", "marker: CD25", "marker: IL2RA")
