"""The simulated mass-cytometry panel: 40 channels of a Helios file."""

from __future__ import annotations

import pandas as pd

#: Metal channel, marker, role of every antibody; Eu151, Eu153, Ho165 and Lu175 also light up on EQ calibration beads,
#: as on a real Helios, where bead metals carry antibodies too.
ANTIBODIES: tuple[tuple[str, str, str], ...] = (
    ("Y89Di", "CD45", "lineage"),
    ("Pr141Di", "CD27", "lineage"),
    ("Nd142Di", "CD19", "lineage"),
    ("Nd143Di", "CD123", "lineage"),
    ("Nd145Di", "CD4", "lineage"),
    ("Nd146Di", "IgD", "lineage"),
    ("Sm147Di", "CD20", "lineage"),
    ("Nd148Di", "CD16", "lineage"),
    ("Sm149Di", "HELIOS", "state"),
    ("Nd150Di", "pSTAT5", "state"),
    ("Eu151Di", "ICOS", "state"),
    ("Sm152Di", "TCRgd", "lineage"),
    ("Eu153Di", "CD45RA", "lineage"),
    ("Sm154Di", "CD21", "lineage"),
    ("Gd156Di", "CD24", "lineage"),
    ("Gd158Di", "CTLA-4", "state"),
    ("Tb159Di", "CD11c", "lineage"),
    ("Gd160Di", "CD14", "lineage"),
    ("Dy161Di", "Ki-67", "state"),
    ("Dy162Di", "FOXP3", "lineage"),
    ("Dy164Di", "CD39", "state"),
    ("Ho165Di", "CD127", "lineage"),
    ("Er167Di", "CCR7", "lineage"),
    ("Er168Di", "CD8", "lineage"),
    ("Tm169Di", "CD25", "lineage"),
    ("Er170Di", "CD3", "lineage"),
    ("Yb172Di", "CD38", "lineage"),
    ("Yb174Di", "HLA-DR", "lineage"),
    ("Lu175Di", "CD56", "lineage"),
)

#: Channel, marker, role of everything that is not an antibody, in file order around the antibodies.
TECHNICAL_FIRST: tuple[tuple[str, str, str], ...] = (
    ("Time", "Time", "time"),
    ("Event_length", "Event_length", "gaussian"),
    ("Ce140Di", "Beads", "bead"),
)
TECHNICAL_LAST: tuple[tuple[str, str, str], ...] = (
    ("Ir191Di", "DNA1", "dna"),
    ("Ir193Di", "DNA2", "dna"),
    ("Pt195Di", "Viability", "viability"),
    ("Center", "Center", "gaussian"),
    ("Offset", "Offset", "gaussian"),
    ("Width", "Width", "gaussian"),
    ("Residual", "Residual", "gaussian"),
)

#: A metal without an antibody: it is in the files and not in the panel.
UNSTAINED = "Yb173Di"

#: Metals of the EQ four-element beads.
BEAD_METALS = ("Ce140Di", "Eu151Di", "Eu153Di", "Ho165Di", "Lu175Di")

MARKERS: tuple[str, ...] = tuple(marker for _, marker, _ in ANTIBODIES)
CHANNELS: tuple[str, ...] = (
    *(channel for channel, _, _ in TECHNICAL_FIRST),
    *(channel for channel, _, _ in ANTIBODIES),
    UNSTAINED,
    *(channel for channel, _, _ in TECHNICAL_LAST),
)


def panel_table() -> pd.DataFrame:
    """Give the panel as ``panel.tsv`` holds it.

    Returns
    -------
    Columns channel, marker, role; one row a channel, the unstained channel left out.
    """
    return pd.DataFrame([*TECHNICAL_FIRST, *ANTIBODIES, *TECHNICAL_LAST], columns=["channel", "marker", "role"])


def channel_labels() -> list[str]:
    """Give the ``$PnS`` of every channel in file order, in the instrument's form (``142Nd_CD19``)."""
    names = {channel: marker for channel, marker, _ in (*TECHNICAL_FIRST, *ANTIBODIES, *TECHNICAL_LAST)}
    return [_label(channel, names.get(channel, "")) for channel in CHANNELS]


def _label(channel: str, marker: str) -> str:
    if not channel.endswith("Di") or not marker:
        return marker
    metal = channel.removesuffix("Di")
    element = metal.rstrip("0123456789")
    return f"{metal.removeprefix(element)}{element}_{marker}"
