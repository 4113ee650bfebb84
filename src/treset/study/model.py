"""What a study is, once read and checked: plain frozen data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

Modality = Literal["mass_cytometry", "flow_cytometry", "rna"]
Level = Literal["+", "-", "hi", "lo", "pos", "neg"]
Combine = Literal["first", "mean", "difference"]
Scale = Literal["percent_change", "log_ratio", "difference"]

#: Roles a channel of ``panel.tsv`` can have.
ROLES = ("lineage", "state", "dna", "viability", "bead", "barcode", "gaussian", "scatter", "time", "ignore")


@dataclass(frozen=True)
class Condition:
    """One marker condition of a population's rule.

    ``markers`` with ``combine="first"`` are alternatives: the first that was measured is used (``CD19|CD20``);
    with ``combine="mean"`` the mean of those measured is used (``CD3D,CD3E,CD3G``: genes); with
    ``combine="difference"`` the first minus the second (``CD25 - CD127``: a diagonal), and both must be measured.
    """

    markers: tuple[str, ...]
    level: Level
    combine: Combine = "first"
    #: Used where measured, passed over (and said so) where not; a condition that is not optional makes the
    #: population not measurable when none of its markers was measured.
    optional: bool = False


@dataclass(frozen=True)
class Population:
    """A named cell type: the cells of ``parent`` that meet every condition."""

    name: str
    parent: str | None
    conditions: tuple[Condition, ...]
    #: Siblings whose cells do not belong to this population (Tconv: CD4 T without Treg).
    without: tuple[str, ...] = ()
    ontology: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Signature:
    """A scored set: genes for RNA, markers (medians) for cytometry."""

    name: str
    genes: tuple[str, ...] = ()
    genes_down: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True)
class CytometryQuality:
    """Filters of mass and flow cytometry; each acts only where its channels exist."""

    gaussian: bool = True
    dna_singlets: bool = True
    event_length: bool = True
    viability: bool = True
    beads: bool = True
    scatter_singlets: bool = True
    #: Width of the accepted band, in robust standard deviations (1.4826 MAD) around the main mode.
    n_mads: float = 5.0


@dataclass(frozen=True)
class RnaQuality:
    """Filters of scRNA-seq."""

    min_counts: int = 500
    min_genes: int = 200
    #: Outliers beyond this many MADs of log counts, log genes (both sides) and mitochondrial share (above).
    n_mads: float = 5.0
    max_mito_percent: float = 20.0
    doublets: bool = True


@dataclass(frozen=True)
class Quality:
    """Filters of both modalities."""

    cytometry: CytometryQuality = field(default_factory=CytometryQuality)
    rna: RnaQuality = field(default_factory=RnaQuality)
    #: A sample with fewer kept cells than this is flagged in the report.
    min_cells: int = 500


@dataclass(frozen=True)
class Normalise:
    """How raw values become comparable."""

    #: arcsinh cofactor for channels without their own in panel.tsv; None: 5 for mass, 150 for flow cytometry.
    cofactor: float | None = None
    #: RNA: counts per cell after scaling.
    target_sum: float = 10_000.0
    #: RNA: highly variable genes used for the embedding.
    n_top_genes: int = 2_000


@dataclass(frozen=True)
class Cohort:
    """Parameters of the one cohort job."""

    sketch_cells: int = 50_000
    #: Principal components; cytometry uses the lineage markers themselves up to this many.
    components: int = 50
    neighbors: int = 15
    resolution: float = 1.0
    #: More clusters than this is an error, not a result.
    max_clusters: int = 200
    umap_min_dist: float = 0.5
    umap_epochs: int = 200
    #: Smallest share of a cluster's cells that must be of one population for the cluster to be named after it.
    min_purity: float = 0.5
    #: Neighbours in the sketch that vote for a mapped cell.
    map_neighbors: int = 5


@dataclass(frozen=True)
class GateOverride:
    """A threshold set by hand; the most specific one wins (sample before batch before all)."""

    #: As in thresholds.tsv: a marker, or a difference such as "CD25 - CD127".
    marker: str
    #: On the transformed scale.
    threshold: float
    #: The population whose rule reads it, or the one within which it is found (``population_parent`` of
    #: thresholds.tsv); None: wherever the marker is cut.
    population: str | None = None
    #: None: all batches.
    batch: str | None = None
    #: None: all samples.
    sample: str | None = None


@dataclass(frozen=True)
class Gates:
    """How the supervised reading finds its thresholds."""

    overrides: tuple[GateOverride, ...] = ()
    #: Cytometry: each sample's thresholds follow its stain, shrunk towards the batch's.
    per_sample: bool = True


@dataclass(frozen=True)
class Endpoint:
    """One question to the profiles: change of a measure from baseline at a visit."""

    name: str
    role: Literal["primary", "secondary"]
    population: str
    measure: str
    visit: str
    #: Denominator of percent_of_parent; None: the population's own parent.
    parent: str | None = None
    marker: str | None = None
    #: None: the study's baseline visit.
    baseline: str | None = None
    scale: Scale = "log_ratio"
    direction: Literal["increase", "decrease", "either"] = "increase"
    #: On the scale of the endpoint (natural log for log_ratio); the estimate must reach it for "met".
    minimum_effect: float = 0.0


@dataclass(frozen=True)
class TregMonitor:
    """Settings of the monitor treg."""

    endpoints: tuple[Endpoint, ...]
    origin: str = "gate"
    alpha: float = 0.05
    #: A sample whose denominator population has fewer cells gives no value.
    min_events: int = 50
    #: Responder: change of the primary endpoint at least this fold.
    responder_fold: float | None = None


@dataclass(frozen=True)
class BcellMonitor:
    """Settings of the monitor bcell."""

    origin: str = "gate"
    b: str = "B"
    #: Denominator of the B-cell share: a population, or "cells" for all kept cells.
    of: str = "cells"
    naive: tuple[str, ...] = ("B naive", "B transitional")
    #: Aplasia: the upper 95 % Poisson limit of the B-cell share (percent of ``of``) lies under this.
    aplasia_percent: float = 0.1
    #: Recovery: first of two consecutive visits at or above this share (percent of ``of``).
    recovery_percent: float = 1.0
    #: Reset: naive share of B cells (percent) at recovery at or above this, with at least ``min_b_events`` B cells.
    naive_percent: float = 70.0
    min_b_events: int = 30
    #: Share of evaluable patients that must be reset for the cohort's verdict "met".
    min_reset_share: float = 0.5


@dataclass(frozen=True)
class DiscoveryMonitor:
    """Settings of the monitor discovery."""

    #: Column of the sample sheet that is contrasted (visit, stimulus, arm ...).
    column: str = "visit"
    reference: str = ""
    test: str = ""
    #: Column that pairs samples; None: unpaired.
    pair: str | None = "patient"
    origins: tuple[str, ...] = ("cluster", "gate")
    #: Markers tested for a change of state; empty: in a run those of role state, on a table from elsewhere all.
    markers: tuple[str, ...] = ()
    fdr: float = 0.05
    #: Smallest |change| called: state in transformed units, abundance in log2 of the share.
    min_state_effect: float = 0.1
    min_abundance_effect: float = 0.2
    min_events: int = 20


@dataclass(frozen=True)
class Monitors:
    """The monitors that run; None: not asked for."""

    treg: TregMonitor | None = None
    bcell: BcellMonitor | None = None
    discovery: DiscoveryMonitor | None = None


@dataclass(frozen=True)
class Config:
    """What ``config.yaml`` holds, before the files it names are read; the one place of its defaults."""

    #: The study's name, and that of its results folder.
    study: str
    modality: Modality
    #: The sample sheet.
    samples: str
    #: Heading of the report; "": the name.
    title: str = ""
    panel: str | None = None
    #: A file, or "default" for the tree that comes with treset.
    populations: str = "default"
    signatures: str = "default"
    #: The folder in which the study's own results folder is made.
    results: str = "results"
    #: Visit label of the baseline; "": no monitor of the study compares with a baseline.
    baseline: str = ""
    seed: int = 0
    backend: Literal["auto", "gpu", "cpu"] = "auto"
    blinded: bool = False
    #: Marker of the panel -> other names of it in the files.
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    normalise: Normalise = field(default_factory=Normalise)
    cohort: Cohort = field(default_factory=Cohort)
    gates: Gates = field(default_factory=Gates)
    monitors: Monitors = field(default_factory=Monitors)
    simulate: dict | None = None


@dataclass(frozen=True)
class Study:
    """A checked study.

    Attributes
    ----------
    samples
        One row a sample, every column text except ``day``, ``dose``, ``cells_per_ul`` (float64, NaN where blank) and
        ``anchor`` (bool). Columns always present: sample, file (absolute), patient, visit, day, arm, disease, batch,
        anchor, stimulus, dose, cells_per_ul, counted_population, exclude ("" where blank); then the covariates.
    panel
        Columns channel, marker, role (text) and cofactor (float64, NaN: default); None: no panel file (one is proposed
        from the files) or RNA.
    """

    name: str
    title: str
    modality: Modality
    #: The study's folder: relative paths of the config and of the sheet start here.
    root: Path
    config_file: Path
    samples_file: Path
    panel_file: Path | None
    populations_file: Path
    signatures_file: Path
    results: Path
    samples: pd.DataFrame
    panel: pd.DataFrame | None
    populations: tuple[Population, ...]
    signatures: tuple[Signature, ...]
    baseline: str
    seed: int
    backend: Literal["auto", "gpu", "cpu"]
    blinded: bool
    aliases: dict[str, tuple[str, ...]]
    quality: Quality
    normalise: Normalise
    cohort: Cohort
    monitors: Monitors
    #: Parameters of ``treset.simulate`` when the study's files are simulated on the spot (the demo), else None.
    simulate: dict | None
    gates: Gates = field(default_factory=Gates)
    #: Sentences that do not stop a run: a patient without baseline, say.
    warnings: tuple[str, ...] = ()

    @property
    def included(self) -> pd.DataFrame:
        """The samples that are analysed (``exclude`` blank)."""
        return self.samples[self.samples["exclude"] == ""]
