"""The simulated populations of PBMC: their tree, usual shares and marker intensities.

Shares are those of healthy adult blood as reference ranges give them (Maecker, McCoy & Nussenblatt 2012,
doi:10.1038/nri3158; Treg 4-6 % of CD4 T cells); they are defaults of a simulation, not reference values.
"""

from __future__ import annotations

import numpy as np

from treset.simulate.panel import MARKERS

ROOT = "cells"

#: Platelets among the barcodes of scRNA-seq; cytometry gates them out and the tree has none.
RNA_PLATELETS = 0.01

#: Parent -> children with their usual share of the parent (each row sums to 1).
TREE: dict[str, dict[str, float]] = {
    ROOT: {"T": 0.60, "B": 0.10, "NK": 0.11, "Myeloid": 0.184, "Basophils": 0.006, "Platelets": 0.0},
    "T": {"CD4 T": 0.60, "CD8 T": 0.31, "gdT": 0.05, "NKT-like": 0.04},
    "CD4 T": {"Tconv": 0.95, "Treg": 0.05},
    "Tconv": {"CD4 naive": 0.44, "CD4 CM": 0.29, "CD4 EM": 0.23, "CD4 TEMRA": 0.04},
    "Treg": {"Treg naive": 0.25, "Treg effector": 0.75},
    "CD8 T": {"CD8 naive": 0.35, "CD8 CM": 0.15, "CD8 EM": 0.28, "CD8 TEMRA": 0.22},
    "B": {
        "B transitional": 0.06,
        "B naive": 0.58,
        "B unswitched memory": 0.11,
        "B switched memory": 0.17,
        "B double negative": 0.06,
        "Plasmablast": 0.02,
    },
    "NK": {"NK CD56bright": 0.08, "NK CD56dim": 0.92},
    "Myeloid": {"Monocytes": 0.82, "Monocytes non-classical": 0.10, "mDC": 0.055, "pDC": 0.025},
    "Monocytes": {"Monocytes classical": 0.92, "Monocytes intermediate": 0.08},
}

PARENT: dict[str, str] = {child: parent for parent, children in TREE.items() for child in children}
LEAVES: tuple[str, ...] = tuple(name for name in PARENT if name not in TREE)

#: Median dual counts of markers above background, inherited from the ancestors. Background is ``BACKGROUND``.
INTENSITIES: dict[str, str] = {
    "T": "CD45 200; CD3 180; CD27 40; CD38 6; CD127 30; ICOS 2",
    "CD4 T": "CD4 150",
    "CD4 naive": "CD45RA 150; CCR7 60; CD27 80; CD127 45; CD25 2; CD38 25",
    "CD4 CM": "CD45RA 4; CCR7 35; CD27 60; CD127 55; CD25 8; ICOS 6; Ki-67 1.2; CTLA-4 2; FOXP3 1.2",
    "CD4 EM": "CD45RA 4; CCR7 2; CD27 15; CD127 35; CD25 5; ICOS 8; CTLA-4 3; HLA-DR 2; Ki-67 1.2; FOXP3 1.2",
    "CD4 TEMRA": "CD45RA 90; CCR7 1.5; CD27 2; CD127 15",
    "Treg": "CD27 65; CD127 5; pSTAT5 2.5",
    "Treg naive": "CD45RA 110; CCR7 50; CD25 40; FOXP3 20; HELIOS 18; CD39 4; CTLA-4 4; CD38 20",
    "Treg effector": (
        "CD45RA 4; CCR7 12; CD25 80; FOXP3 38; HELIOS 28; CD39 45; CTLA-4 20; ICOS 18; Ki-67 4; HLA-DR 8; CD38 8"
    ),
    "CD8 T": "CD8 200",
    "CD8 naive": "CD45RA 160; CCR7 50; CD27 80; CD127 35; CD38 15",
    "CD8 CM": "CD45RA 5; CCR7 28; CD27 60; CD127 45",
    "CD8 EM": "CD45RA 5; CCR7 2; CD27 20; CD127 18; HLA-DR 2",
    "CD8 TEMRA": "CD45RA 120; CCR7 1.5; CD27 2; CD127 4; CD16 1.5",
    "gdT": "CD3 260; TCRgd 80; CD45RA 25; CCR7 3; CD27 30; CD127 12; CD8 4; CD16 2",
    "NKT-like": "CD3 150; CD8 120; CD56 45; CD45RA 40; CCR7 1.5; CD27 5; CD127 6; CD16 3",
    "B": "CD45 150; CD19 90; CD20 180; HLA-DR 120; CD45RA 140",
    "B transitional": "CD24 90; CD38 130; IgD 70; CD21 20; CCR7 15; CD20 220",
    "B naive": "CD24 22; CD38 22; IgD 90; CD21 60; CCR7 25",
    "B unswitched memory": "CD24 45; CD38 6; IgD 35; CD27 40; CD21 60; CCR7 10",
    "B switched memory": "CD24 50; CD38 5; CD27 55; CD21 55; CCR7 8",
    "B double negative": "CD24 12; CD38 5; CD21 14; CD11c 5; CCR7 4",
    "Plasmablast": "CD19 40; CD20 2; CD27 160; CD38 500; CD21 4; Ki-67 40; HLA-DR 60; CD45RA 20",
    "NK": "CD45 190; CD38 40",
    "NK CD56bright": "CD56 350; CD16 2.5; CD127 12; CD27 12; CD25 4; CD45RA 50",
    "NK CD56dim": "CD56 45; CD16 140; CD45RA 100; CD8 4; Ki-67 1.2",
    "Myeloid": "CD45 130; HLA-DR 70; CD11c 130; CD38 25",
    "Monocytes": "CD4 13; CD39 25",
    "Monocytes classical": "CD14 180; CD16 1.5; CD123 4",
    "Monocytes intermediate": "CD14 120; CD16 60; HLA-DR 200; CD11c 180",
    "Monocytes non-classical": "CD4 13; CD14 4; CD16 160; HLA-DR 120; CD11c 160; CD38 3",
    "mDC": "CD4 10; HLA-DR 300; CD11c 150; CD38 15; CD123 4",
    "pDC": "CD4 25; HLA-DR 120; CD11c 0.8; CD123 250; CD45RA 120; CD38 40",
    "Basophils": "CD45 60; CD123 180; CD38 30; CD25 3",
}

#: Median dual counts of a marker that a population does not carry.
BACKGROUND = 0.6
#: Background of markers that are never quite silent (nonspecific binding, basal phosphorylation).
MARKER_BACKGROUND: dict[str, float] = {"CD45": 60.0, "pSTAT5": 1.5, "CD38": 1.5, "CD45RA": 1.5, "HLA-DR": 0.8}
#: Between-cell standard deviation of the natural logarithm of a marker's intensity within a population.
CELL_SD = 0.42

#: Median DNA (Ir191) of a living single cell, and factors by lineage (myeloid cells stain a little brighter).
DNA_MEDIAN = 420.0
DNA_FACTOR: dict[str, float] = {"Myeloid": 1.08, "B": 0.96}
#: Median cisplatin of a living cell; myeloid cells take up more.
PLATINUM_MEDIAN = 12.0
PLATINUM_FACTOR: dict[str, float] = {"Myeloid": 1.6}


def ancestors(population: str) -> list[str]:
    """List a population's ancestors from the first level down to itself (the root left out)."""
    chain = [population]
    while (parent := PARENT[chain[0]]) != ROOT:
        chain.insert(0, parent)
    return chain


def leaves_of(population: str) -> tuple[str, ...]:
    """List the leaf populations at or below a population."""
    if population == ROOT:
        return LEAVES
    return tuple(leaf for leaf in LEAVES if population in ancestors(leaf))


def parse_levels(text: str) -> dict[str, float]:
    """Read ``"CD3 180; CD4 150"`` into a mapping of name to level."""
    pairs = (item.rsplit(maxsplit=1) for item in text.split(";") if item.strip())
    return {name.strip(): float(level) for name, level in pairs}


def intensity_table() -> np.ndarray:
    """Give the median dual counts of every leaf population and marker.

    Returns
    -------
    Array of shape (leaf populations, markers), in the order of ``LEAVES`` and ``MARKERS``.
    """
    column = {marker: number for number, marker in enumerate(MARKERS)}
    table = np.full((len(LEAVES), len(MARKERS)), BACKGROUND)
    for marker, level in MARKER_BACKGROUND.items():
        table[:, column[marker]] = level
    for row, leaf in enumerate(LEAVES):
        for population in ancestors(leaf):
            for marker, level in parse_levels(INTENSITIES.get(population, "")).items():
                table[row, column[marker]] = level
    return table


def lineage_factors(factors: dict[str, float]) -> np.ndarray:
    """Spread factors given by lineage over the leaves; shape (leaf populations,)."""
    return np.array([next((factors[name] for name in ancestors(leaf) if name in factors), 1.0) for leaf in LEAVES])
