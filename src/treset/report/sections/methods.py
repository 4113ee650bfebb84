"""Methods, written from the settings that were used, with parameters and provenance."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Note, Section, table
from treset.report.context import Context
from treset.report.sections.clean import cleaning
from treset.report.sections.discovery import compared

CYTOMETRY = (
    "Intensities were transformed by arcsinh(x / cofactor) with cofactor {cofactor} unless the panel says otherwise."
)
RNA = (
    "Counts were scaled to {target:,.0f} per cell and log-transformed; {genes:,} highly variable genes entered the "
    "embedding; outliers were judged by median absolute deviations and doublets by Scrublet (Wolock 2019, "
    "doi:10.1016/j.cels.2018.11.005)."
)
COHORT = (
    "A sketch of {sketch:,} cells was drawn over the samples, joined to a graph of {k} nearest neighbours, "
    "clustered with {algorithm} and laid out with UMAP (McInnes 2018, arXiv:1802.03426). Populations were gated by "
    "thresholds on their defining markers{found}; a cluster is named after a population when at least {purity:g} % of "
    "its cells are of it. Every other cell takes the labels of its {votes} nearest neighbours in the sketch."
)
LEIDEN = "the Leiden algorithm (Traag 2019, doi:10.1038/s41598-019-41695-z; resolution {setting})"
SOM = (
    "a self-organising map of 10 x 10 nodes in the manner of FlowSOM (Van Gassen 2015, doi:10.1002/cyto.a.22625) and "
    "consensus clustering of its nodes (Monti 2003, doi:10.1023/A:1023949509487; metaclusters: {setting})"
)
AUTO = (
    "The finest setting was taken at which the clusters of repeated draws of 80 % of the sketch agree with a mean "
    "adjusted Rand index (Hubert 1985, doi:10.1007/BF01908075) of at least {stable:g}, or the most stable one where "
    "none does."
)
OVERCLUSTER = (
    "A larger self-organising map ({side} x {side} nodes at most) divided the sketch into small clusters; where those "
    "of one cluster carry the names of different populations, the cluster was split between them."
)
TREG = (
    "Treg endpoints: change from {baseline} within each patient, estimated by Hodges-Lehmann and tested by the "
    "exact Wilcoxon signed-rank test, two-sided at {alpha:g}; secondary endpoints as one family by "
    "Benjamini-Hochberg (1995, doi:10.1111/j.2517-6161.1995.tb02031.x). The method of each row is named beside it."
)
BCELL = (
    "B-cell reset: a patient is in aplasia when the upper 95 % Poisson limit (Garwood 1936, "
    "doi:10.1093/biomet/28.3-4.437) of the {b} share of {of} is under {aplasia:g} %, has recovered at the first of "
    "two consecutive later visits at or above {recovery:g} %, and is reset when the naive share at recovery is at "
    "least {naive:g} % of {b} with {events} or more {b} cells."
)
DISCOVERY = (
    "Discovery: per-sample medians and log2 shares of every population and cluster, moderated t statistics (Smyth "
    "2004, doi:10.2202/1544-6115.1027){paired}, false discovery rate {fdr:g} % (Benjamini-Hochberg) within each "
    "origin and kind, the approach of diffcyt (Weber 2019, doi:10.1038/s42003-019-0415-5)."
)


#: The times themselves differ from run to run, and the page of the same inputs must not.
TIMINGS = "The workflow writes time, processor time and peak memory of each step to timings.tsv beside this report."


def paragraphs(context: Context) -> list[str]:
    """Write the methods of this study."""
    s = context.study
    if s.modality == "rna":
        said = [RNA.format(target=s.normalise.target_sum, genes=s.normalise.n_top_genes)]
    else:
        default = 5 if s.modality == "mass_cytometry" else 150
        said = [*cleaning(s), CYTOMETRY.format(cofactor=f"{s.normalise.cofactor or default:g}")]
    c = s.cohort
    said.append(
        COHORT.format(
            sketch=c.sketch_cells,
            k=c.neighbors,
            algorithm=(SOM if c.algorithm == "som" else LEIDEN).format(setting=_setting(context)),
            purity=100 * c.min_purity,
            votes=c.map_neighbors,
            found="" if s.modality == "rna" else f", found on at most {c.gate_cells:,} cells of all samples alike",
        )
    )
    if _asked(context) == "auto":
        said[-1] += " " + AUTO.format(stable=c.min_stability)
    if c.overcluster:
        said[-1] += " " + OVERCLUSTER.format(side=c.overcluster)
    m = s.monitors
    if m.treg:
        said.append(TREG.format(baseline=s.baseline, alpha=m.treg.alpha))
    if m.bcell:
        b = m.bcell
        said.append(
            BCELL.format(b=b.b, of=b.of, aplasia=b.aplasia_percent, recovery=b.recovery_percent, naive=b.naive_percent,
                         events=b.min_b_events)
        )  # fmt: skip
    if m.discovery:
        paired = f", paired by {m.discovery.pair}" if m.discovery.pair else ""
        paired += compared(m.discovery, ", ")
        said.append(DISCOVERY.format(paired=paired, fdr=100 * m.discovery.fdr))
    return said


def _asked(context: Context) -> object:
    """Give the resolution or the number of metaclusters as the config has it."""
    c = context.study.cohort
    return c.metaclusters if c.algorithm == "som" else c.resolution


def _setting(context: Context) -> str:
    """Give what was used; where the results do not say, that it was chosen by stability."""
    asked = _asked(context)
    if asked != "auto":
        return f"{float(str(asked)):g}"
    table = context.results.stability
    used = table.loc[table["chosen"].astype(str) == "True", "setting"].tolist()
    return f"{float(used[0]):g}, chosen by stability" if used else "chosen by stability"


def flatten(value: object, name: str = "") -> list[tuple[str, str]]:
    """List settings as (dotted name, value), dataclasses and tuples taken apart."""
    if is_dataclass(value):
        return [
            pair
            for f in fields(value)
            for pair in flatten(getattr(value, f.name), f"{name}.{f.name}" if name else f.name)
        ]
    if isinstance(value, dict):
        return [pair for k, v in value.items() for pair in flatten(v, f"{name}.{k}" if name else str(k))]
    if isinstance(value, list | tuple):
        if any(is_dataclass(v) or isinstance(v, dict) for v in value):
            return [pair for i, v in enumerate(value) for pair in flatten(v, f"{name}.{i + 1}")]
        return [(name, ", ".join(str(v) for v in value))]
    return [(name, text.DASH if value is None else str(value))]


def backend(run: dict) -> str:
    """Say what ran on which device and why; nothing is assumed where it is not recorded."""
    own = run.get("backend")
    if not isinstance(own, dict) or not own.get("used"):
        return "Which backend ran is not recorded in the results."
    said = f"The cohort step ran on the {own['used']} backend"
    said += f" ({own['device']})" if own.get("device") else ""
    said += f"; {own['requested']} was requested" if own.get("requested") else ""
    said += f": {own['reason']}" if own.get("reason") else ""
    mapped = own.get("map")
    return " ".join([said.rstrip(".") + ".", *_mapped(own, mapped if isinstance(mapped, list) else [])])


def _mapped(own: dict, rows: list[dict]) -> list[str]:
    """Say where the samples were mapped; nothing more where that is where the cohort step ran."""
    if all(row.get("used") == own.get("used") and row.get("device") == own.get("device") for row in rows):
        return ["The samples were mapped there too."] if rows else []
    return [
        f"{text.plural(int(row['samples']), 'sample')} {'was' if row['samples'] == 1 else 'were'} mapped on the "
        f"{row['used']} backend ({row['device']}): {row['reason']}."
        for row in rows
    ]


def methods_section(context: Context) -> Section:
    """Make the section."""
    study, run = context.study, context.results.run
    blocks: list[Block] = [Note("\n".join((*paragraphs(context), backend(run), TIMINGS)))]
    settings = {
        "modality": study.modality,
        "baseline": study.baseline,
        "seed": study.seed,
        "backend": study.backend,
        "blinded": study.blinded,
        "aliases": study.aliases,
        "quality": study.quality,
        "normalise": study.normalise,
        "cohort": study.cohort,
        "monitors": study.monitors,
    }
    rows = pd.DataFrame(flatten(settings), columns=["setting", "value"])
    blocks.append(table("Settings", rows, "settings", wide=("value",), folded=True))
    if run:
        whole = pd.DataFrame(flatten(run), columns=["what", "value"])
        # the settings stand in the table above; the TSV has them as the run recorded them
        shown = whole[~whole["what"].str.startswith("settings.")]
        blocks.append(table("Provenance", shown, "provenance", full=whole, wide=("value",)))
    else:
        blocks.append(Note(context.results.gaps["provenance/run.json"], "missing"))
    sources = [(p.name, p.source) for p in study.populations if p.source] + [
        (s.name, s.source) for s in study.signatures if s.source
    ]
    if sources:
        shown = pd.DataFrame(sources, columns=["definition", "source"])
        blocks.append(table("Sources of the definitions", shown, "sources", folded=True))
    gaps = [g for k, g in context.results.gaps.items() if k != "provenance/run.json"]
    blocks += [Note(g, "missing") for g in gaps if not g.startswith("monitors/")]
    return Section("methods", "Methods and provenance", blocks, "Methods")
