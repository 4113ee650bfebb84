"""Genes of the simulated scRNA-seq and how much of each a population expresses."""

from __future__ import annotations

import numpy as np

from treset.simulate.populations import LEAVES, ancestors, parse_levels

#: Expected counts per 10,000 of marker genes, inherited from the ancestors; elsewhere a gene is at ``LEAK``.
EXPRESSION: dict[str, str] = {
    "T": "CD3D 12; CD3E 10; CD3G 6; CD2 5; TRAC 14; TRBC1 6; IL32 14; LCK 4; CD7 5; IL7R 5; LTB 10; CD69 3",
    "CD4 T": "CD4 3",
    "Tconv": "IL7R 12; LDHB 10",
    "CD4 naive": "CCR7 6; SELL 7; LEF1 5; TCF7 8; MAL 3; PTPRC 5",
    "CD4 CM": "CCR7 3; SELL 4; TCF7 4; S100A4 20; ICOS 2; AQP3 3; IL2RA 0.5",
    "CD4 EM": "S100A4 28; CCR6 1.5; KLRB1 5; GZMK 3; ICOS 2; CCL5 5; CD40LG 2; IFNG 0.6",
    "CD4 TEMRA": "GZMB 6; GZMH 6; NKG7 9; PRF1 4; CCL5 14; S100A4 25",
    "Treg": "FOXP3 6; IL2RA 7; CTLA4 6; IKZF2 5; TIGIT 6; RTKN2 5; IL32 25; IL7R 1; TNFRSF4 3; CD27 4; S100A4 15",
    "Treg naive": "CCR7 4; SELL 5; LEF1 3; TCF7 4",
    "Treg effector": "TNFRSF18 4; TNFRSF9 1; HLA-DRA 4; HLA-DRB1 4; CCR8 1; ENTPD1 1.5; LRRC32 0.6; CTLA4 8; MKI67 0.5",
    "CD8 T": "CD8A 9; CD8B 9",
    "CD8 naive": "CCR7 5; SELL 6; LEF1 5; TCF7 7; LDHB 9",
    "CD8 CM": "GZMK 8; IL7R 8; SELL 3; CCL5 10; S100A4 15",
    "CD8 EM": "GZMK 10; GZMA 8; NKG7 10; CCL5 30; CST7 7; IFNG 1; S100A4 18; CD8B 5",
    "CD8 TEMRA": "GZMB 10; GZMH 12; NKG7 22; GNLY 12; PRF1 8; FGFBP2 8; CCL5 40; CST7 9; CD8B 4; S100A4 20",
    "gdT": "TRDC 8; TRGC1 5; NKG7 12; GZMA 6; CCL5 15; KLRD1 3; KLRB1 6; CST7 6",
    "NKT-like": "CD8A 6; CD8B 3; NKG7 18; GNLY 10; KLRD1 4; KLRB1 5; CCL5 25; PRF1 5; GZMB 6; CST7 8",
    "B": "CD79A 18; CD79B 14; MS4A1 9; CD19 2; BANK1 4; HLA-DRA 30; HLA-DRB1 22; HLA-DPA1 15; HLA-DPB1 15; CD74 60",
    "B transitional": "TCL1A 20; IGHD 8; IGHM 18; IL4R 6; FCER2 3; CD24 5; CD38 3; SOX4 3; IGLL5 2",
    "B naive": "TCL1A 12; IGHD 9; IGHM 12; IL4R 6; FCER2 5; CXCR4 8",
    "B unswitched memory": "IGHM 16; IGHD 2; CD27 4; AIM2 2; TNFRSF13B 4; CD24 4",
    "B switched memory": "IGHG1 6; IGHA1 10; CD27 5; AIM2 3; TNFRSF13B 5; COCH 2",
    "B double negative": "IGHG1 8; IGHA1 4; TBX21 2; ITGAX 3; FCRL5 4; ZEB2 3; FCRL3 3; TNFRSF13B 3",
    "Plasmablast": "MZB1 25; XBP1 25; JCHAIN 60; PRDM1 5; TNFRSF17 4; IGHG1 60; IGHA1 50; CD27 8; CD38 8; MS4A1 1",
    "NK": "NKG7 35; GNLY 40; KLRD1 8; KLRF1 6; PRF1 10; CST7 12; GZMA 8; CD7 8; CTSW 8; TYROBP 15; CD247 6",
    "NK CD56bright": "NCAM1 3; GZMK 8; XCL1 6; SELL 6; IL7R 2; KLRC1 5; GNLY 15; PRF1 4",
    "NK CD56dim": "FCGR3A 7; GZMB 14; FGFBP2 10; SPON2 6; GZMH 6; CCL5 12",
    "Myeloid": "LYZ 45; CST3 35; AIF1 16; TYROBP 25; FCER1G 16; HLA-DRA 22; HLA-DRB1 18; CD74 35; CTSS 18; LST1 12",
    "Monocytes": "CD14 9; S100A8 80; S100A9 90; S100A12 18; VCAN 9; FCN1 22; LYZ 90; CD4 1.5",
    "Monocytes intermediate": "FCGR3A 6; CDKN1C 2; MS4A7 5; HLA-DRA 35; S100A8 30; S100A9 40",
    "Monocytes non-classical": "FCGR3A 16; MS4A7 9; CDKN1C 9; LST1 25; S100A8 3; S100A9 6; LYZ 20; FCN1 15; IFITM3 15",
    "mDC": "FCER1A 14; CD1C 8; CLEC10A 9; HLA-DRA 60; HLA-DRB1 45; HLA-DPA1 35; HLA-DPB1 35; CD74 110; FCN1 1",
    "pDC": (
        "LILRA4 14; CLEC4C 6; IL3RA 7; GZMB 20; JCHAIN 20; TCF4 12; IRF7 14; IRF8 14; PLD4 14; HLA-DRA 30; CD74 60; "
        "LYZ 2; CST3 20; FCN1 0; AIF1 4"
    ),
    "Basophils": "CPA3 12; GATA2 6; HDC 8; MS4A2 8; CLC 14; FCER1A 10; IL3RA 4",
    "Platelets": "PPBP 90; PF4 70; GNG11 25; SDPR 15; TUBB1 20; NRGN 20; CCL5 30",
}

#: Genes at the same level everywhere.
HOUSEKEEPING = (
    "MALAT1 350; B2M 180; TMSB4X 160; TMSB10 70; ACTB 80; EEF1A1 120; FTL 60; FTH1 70; TPT1 70; GAPDH 25; PTMA 35; "
    "NACA 20; UBC 15; HLA-A 40; HLA-B 60; HLA-C 45; PTPRC 6; RPLP0 40; RPLP1 90; RPLP2 80; RPL3 60; RPL10 100; "
    "RPL13 100; RPL13A 80; RPL32 80; RPL34 70; RPS2 80; RPS3 60; RPS6 70; RPS12 90; RPS14 80; RPS18 80; RPS27 110; "
    "RPS27A 60; ISG15 0.6; IFI6 0.6; IFIT1 0.1; IFIT3 0.2; MX1 0.5; ISG20 1.5; LY6E 1.5; IFI44L 0.4; OAS1 0.3; "
    "TNF 0.3; IL2 0.05; CISH 0.3; SOCS2 0.2; MKI67 0.05; CD27 0.5; CD38 0.2"
)
MITOCHONDRIAL = (
    "MT-ND1 35; MT-ND2 40; MT-CO1 70; MT-CO2 60; MT-ATP8 3; MT-ATP6 55; MT-CO3 65; MT-ND3 35; MT-ND4L 6; MT-ND4 50; "
    "MT-ND5 12; MT-ND6 3; MT-CYB 45"
)
#: Counts per 10,000 of a marker gene where it is not expressed (ambient RNA).
LEAK = 0.05
#: Share of the counts that goes to the genes without a meaning, log-normally spread.
_FILLER_SHARE, _FILLER_SD = 0.5, 1.3

#: Marker of the cytometry panel -> gene, for effects on intensities.
GENE_OF_MARKER: dict[str, str] = {
    "CD25": "IL2RA",
    "FOXP3": "FOXP3",
    "CTLA-4": "CTLA4",
    "ICOS": "ICOS",
    "CD39": "ENTPD1",
    "HELIOS": "IKZF2",
    "Ki-67": "MKI67",
    "CD38": "CD38",
    "CD27": "CD27",
    "HLA-DR": "HLA-DRA",
}


def gene_names(count: int) -> list[str]:
    """Name ``count`` genes: those with a meaning first, then fillers ``SIM0001`` ..."""
    known: dict[str, None] = {}
    for text in (*EXPRESSION.values(), HOUSEKEEPING, MITOCHONDRIAL):
        known |= dict.fromkeys(parse_levels(text))
    names = list(known)
    return names + [f"SIM{number:04d}" for number in range(1, count - len(names) + 1)]


def expression_table(names: list[str]) -> np.ndarray:
    """Give each leaf population's share of counts by gene.

    Parameters
    ----------
    names
        ``gene_names(...)``.

    Returns
    -------
    Array of shape (leaves, genes); rows sum to 1.
    """
    column = {name: number for number, name in enumerate(names)}
    fillers = np.array([name.startswith("SIM") for name in names])
    table = np.full((len(LEAVES), len(names)), LEAK)
    for text in (HOUSEKEEPING, MITOCHONDRIAL):
        for name, level in parse_levels(text).items():
            table[:, column[name]] = level
    for row, leaf in enumerate(LEAVES):
        for population in ancestors(leaf):
            for name, level in parse_levels(EXPRESSION.get(population, "")).items():
                table[row, column[name]] = max(level, LEAK)
    # The same fillers in every trial: they are a property of the "assay", not of the seed.
    weights = np.exp(np.random.default_rng(0).normal(0, _FILLER_SD, int(fillers.sum())))
    if len(weights):
        table[:, fillers] = weights / weights.sum() * table[:, ~fillers].sum(axis=1, keepdims=True)
        table[:, fillers] *= _FILLER_SHARE / (1 - _FILLER_SHARE)
    return table / table.sum(axis=1, keepdims=True)
