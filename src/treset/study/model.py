"""What a study is, once read and checked: plain frozen data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

Modality = Literal["mass_cytometry", "flow_cytometry", "rna"]
Level = Literal["+", "-", "hi", "lo", "pos", "neg", "seed"]
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
    #: What a reader must know of its calls; shown beside the population.
    note: str | None = None


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
class Clean:
    """Cytometry made clean before its filters; a step is off unless asked for, but for flow's own spillover matrix."""

    #: ``auto``: of flow cytometry the matrix that the file carries, where it does; ``none``; or a matrix as CSV file.
    spillover: str = "auto"
    #: Mass cytometry: level the signal over time by normalisation beads of these isotopes (where bead channels exist).
    beads: Literal["none", "dvs", "beta"] = "none"
    #: Bead intensities (counts of the five isotopes) that all samples are brought to; empty: each sample's own median,
    #: which levels time within samples and not samples.
    bead_baseline: tuple[float, ...] = ()
    #: Flag stretches of the acquisition in which the signal jumps or the flow stalls.
    time: bool = False
    #: Level batches: by the anchors (shared controls) of the sheet (``cytonorm``), or without anchors by clusters of
    #: like cells of all samples (``cycombine``), which is refused where batches are confounded with arm, visit or
    #: disease.
    batch: Literal["none", "cytonorm", "cycombine"] = "none"


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
    #: Cytometry: cells on which the gates' thresholds are found, the same number of every sample (all cells where there
    #: are no more). 4 bytes a cell and marker of memory; the default takes seconds. RNA is gated on the sketch.
    gate_cells: int = 2_000_000
    #: ``density``: half of each sample's share is drawn from sparse regions, so that populations of 0.05 % are kept
    #: (cytometry only); ``stratified``: all of it whatever the density; ``auto``: ``density`` for cytometry.
    sketch: Literal["auto", "stratified", "density"] = "auto"
    #: Principal components; cytometry uses the lineage markers themselves up to this many.
    components: int = 50
    neighbors: int = 15
    algorithm: Literal["leiden", "som"] = "leiden"
    #: Of Leiden; ``auto``: the finest at which repeated draws of the sketch agree.
    resolution: float | Literal["auto"] = "auto"
    #: Consensus metaclusters of the self-organising map; ``auto`` as above.
    metaclusters: int | Literal["auto"] = "auto"
    #: ``auto`` takes the finest setting whose mean adjusted Rand index between draws is at least this.
    min_stability: float = 0.8
    #: Nodes along each edge of the map that over-clusters the sketch before the tree merges it; 0: no over-clustering.
    overcluster: int = 20
    #: More clusters than this (before over-clustering) is an error, not a result.
    max_clusters: int = 200
    umap_min_dist: float = 0.5
    umap_epochs: int = 200
    #: Smallest share of a cluster's cells that must be of one population for the cluster to be named after it.
    min_purity: float = 0.5
    #: Neighbours in the sketch that vote for a mapped cell.
    map_neighbors: int = 5
    #: RNA: take differences between the sheet's batches out of the embedding (Harmony), or leave them.
    batch: Literal["none", "harmony"] = "none"
    #: ``cohort/`` of a finished study: clusters and thresholds are taken as they are, every sample is mapped onto them.
    frozen: str | None = None


#: What is taken of a frozen cohort.
FROZEN_FILES = (
    "sketch.h5ad", "clusters.tsv", "stability.tsv", "concordance.tsv", "populations.tsv", "thresholds.tsv"
)  # fmt: skip


@dataclass(frozen=True)
class Contrast:
    """Two groups of patients whose changes are compared: labels of a column of the sheet."""

    test: str
    reference: str
    #: arm, disease or a covariate of the sheet.
    column: str = "arm"


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
    """One question to the profiles (an estimand): change of a measure from baseline at a visit."""

    name: str
    role: Literal["primary", "secondary"]
    population: str
    measure: str
    #: Visit label; "": the window says when.
    visit: str = ""
    #: Denominator of percent_of_parent; None: the population's own parent.
    parent: str | None = None
    marker: str | None = None
    #: None: the study's baseline visit.
    baseline: str | None = None
    scale: Scale = "log_ratio"
    direction: Literal["increase", "decrease", "either"] = "increase"
    #: On the scale of the endpoint (natural log for log_ratio); the estimate must reach it for "met".
    minimum_effect: float = 0.0
    #: First and last day instead of a visit: the patient's sample nearest the middle (the earlier of two as near).
    window: tuple[float, ...] = ()
    #: None: the two arms where there are two, all patients where there is one; more arms need a contrast.
    contrast: Contrast | None = None
    #: None: the monitor's.
    alpha: float | None = None
    #: Secondary endpoints are corrected for multiplicity (Benjamini-Hochberg) within their family.
    family: str = "secondary"
    #: None: the monitor's.
    min_events: int | None = None
    #: What is to be shown: a change; that there is none beyond ``margin`` either way (equivalence); or none beyond it
    #: in ``direction`` (non_inferiority, where that direction is the harm).
    claim: Literal["change", "equivalence", "non_inferiority"] = "change"
    #: On the scale of the endpoint (natural log for log_ratio); needed by the claims other than change.
    margin: float | None = None
    #: Two groups compared by this linear model of the change instead of ranks: the contrast's column, ``baseline`` (the
    #: patient's value) and columns of the sheet, such as "~ arm + baseline + age". "": none.
    formula: str = ""


@dataclass(frozen=True)
class CrossSection:
    """Patients against healthy donors at baseline, and patients back in the healthy range after therapy."""

    #: Label of the healthy donors in ``column`` of the sheet; they are no patients of any other analysis.
    healthy: str = "healthy"
    column: str = "disease"
    #: Share (percent) of healthy donors that the healthy range holds.
    range_percent: float = 95.0
    #: Fewest donors for a healthy range.
    min_donors: int = 8


@dataclass(frozen=True)
class TregMonitor:
    """Settings of the monitor treg."""

    endpoints: tuple[Endpoint, ...]
    #: The reading: ``gate``; ``cluster`` as voted; ``adjusted``, clusters freed of the vote's errors; ``external``.
    origin: str = "gate"
    alpha: float = 0.05
    #: A sample whose denominator population has fewer cells gives no value.
    min_events: int = 50
    #: Responder: change of the primary endpoint at least this fold.
    responder_fold: float | None = None
    #: The arm the others are compared with; None: found by its name (placebo, control) or by its dose.
    reference_arm: str | None = None
    #: Visits of the maintenance analyses (repeated measures, time-averaged change); empty: all after the baseline.
    maintenance: tuple[str, ...] = ()
    #: Column of the sheet that names the sample of which a row is a technical replicate.
    replicate_column: str = "replicate_of"
    cross_section: CrossSection | None = None


@dataclass(frozen=True)
class BcellMonitor:
    """Settings of the monitor bcell."""

    #: The reading: ``gate``; ``cluster`` as voted; ``adjusted``, clusters freed of the vote's errors; ``external``.
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
    #: Share of patients that must be reset for the cohort's verdict "met", whatever those not evaluable would be.
    min_reset_share: float = 0.5
    #: Kinds of B cells whose share at recovery is shown beside the naive ones, against the own baseline.
    composition: tuple[str, ...] = ("B unswitched memory", "B switched memory", "B DN2", "Plasmablast")


@dataclass(frozen=True)
class SignallingMonitor:
    """Settings of the monitor signalling: dose and response in vitro."""

    #: What answers to the dose: a marker (or a signature), and the measure of it.
    marker: str = "pSTAT5"
    measure: Literal["median", "mean", "percent_positive", "signature"] = "median"
    #: The reading: ``gate``, ``cluster`` or ``external``.
    origin: str = "gate"
    #: The population the others are compared with.
    reference: str = "Treg"
    #: Populations over which the reference must be preferred; all of them for the verdict "met".
    against: tuple[str, ...] = ("Tconv", "CD8 T", "NK")
    #: Further populations whose EC50 is given.
    populations: tuple[str, ...] = ()
    #: The stimulus of the primary endpoint; "": the only one there is.
    stimulus: str = ""
    #: Visit of the dose series; "": the only one there is, or the baseline.
    visit: str = ""
    #: EC50 over that of the reference: its lower 95 % limit must reach this.
    selectivity_min: float = 10.0
    #: A sample with fewer cells of a population gives it no value.
    min_events: int = 20
    #: Fewest doses above 0 with a value.
    min_doses: int = 5
    #: A curve that rises by less is no response: in the unit of the measure (transformed units, or percent).
    min_response: float = 0.2
    #: Leave out the doses above the peak where the response falls again.
    hook: bool = True
    #: One bottom and one top for all stimuli of a patient and population (full agonists).
    shared_asymptotes: bool = False
    #: Resamplings for the interval of each EC50.
    bootstrap: int = 999
    #: The disease the others are compared with; "": no comparison.
    reference_disease: str = ""


@dataclass(frozen=True)
class Outcome:
    """One clinical outcome, read from the rows of its measure in the clinical table."""

    name: str
    #: Value of the column measure.
    measure: str
    #: score: change from the last value up to day 0; count: sum of the values; event: 1 at the event, 0 when last seen
    #: without it.
    kind: Literal["score", "count", "event"]
    role: Literal["primary", "secondary"] = "secondary"
    direction: Literal["increase", "decrease", "either"] = "decrease"
    #: First and last day that count; empty: every day after 0 (of a score the last value).
    window: tuple[float, ...] = ()
    #: On the scale of the outcome (points of a score; natural log of a ratio of rates or hazards).
    minimum_effect: float = 0.0


@dataclass(frozen=True)
class ClinicalMonitor:
    """Settings of the monitor clinical."""

    #: Table of patient, day, measure, value; relative to the study's folder.
    file: str
    outcomes: tuple[Outcome, ...]
    alpha: float = 0.05
    #: None: as the monitor treg finds it.
    reference_arm: str | None = None
    #: Two groups to compare; None: the two arms where there are two.
    contrast: Contrast | None = None


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
    #: Test of shares: moderated t on log2 shares, or edgeR's quasi-likelihood F of the counts (needs treset[edger]).
    abundance: Literal["moderated_t", "negative_binomial"] = "moderated_t"
    #: Linear model with ``column`` as a term, such as "~ visit + patient + age"; replaces ``pair``. "": none.
    formula: str = ""
    #: Groups of patients whose changes from reference to test are compared, such as the arms; None: no groups.
    between: Contrast | None = None


@dataclass(frozen=True)
class Monitors:
    """The monitors that run; None: not asked for."""

    treg: TregMonitor | None = None
    bcell: BcellMonitor | None = None
    signalling: SignallingMonitor | None = None
    clinical: ClinicalMonitor | None = None
    discovery: DiscoveryMonitor | None = None


@dataclass(frozen=True)
class Parity:
    """How far the GPU's results may lie from the CPU's (``treset parity``); verdicts must be the same in any case."""

    #: Share of the exact nearest neighbours that the GPU finds.
    min_recall: float = 0.99
    #: The adjusted Rand index between the backends' clusters of one graph may lie this far below that between two seeds
    #: of the CPU.
    max_ari_loss: float = 0.1
    #: F1 of every population between the backends, over all cells.
    min_f1: float = 0.97
    #: Populations and denominators of fewer cells are shown, not judged.
    min_cells: int = 200
    #: Largest change of a population's share in a sample, in percentage points.
    max_points: float = 0.5
    #: Largest change of an endpoint's estimate, as a share of the half-width of its confidence interval.
    max_estimate: float = 0.1


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
    #: Days on which the drug is given; marked in the report's plots over time.
    dosing: tuple[float, ...] = ()
    seed: int = 0
    backend: Literal["auto", "gpu", "cpu"] = "auto"
    blinded: bool = False
    #: Marker of the panel -> other names of it in the files.
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    clean: Clean = field(default_factory=Clean)
    normalise: Normalise = field(default_factory=Normalise)
    cohort: Cohort = field(default_factory=Cohort)
    gates: Gates = field(default_factory=Gates)
    monitors: Monitors = field(default_factory=Monitors)
    parity: Parity = field(default_factory=Parity)
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
    clean: Clean = field(default_factory=Clean)
    parity: Parity = field(default_factory=Parity)
    #: Sentences that do not stop a run: a patient without baseline, say.
    warnings: tuple[str, ...] = ()
    #: Days of a dose of the drug.
    dosing: tuple[float, ...] = ()

    @property
    def included(self) -> pd.DataFrame:
        """The samples that are analysed (``exclude`` blank)."""
        return self.samples[self.samples["exclude"] == ""]
