# The study, read once, and what the rules share.
import os
import re
from os.path import normpath
from pathlib import Path

from snakemake.exceptions import WorkflowError

from treset.environment import job_environment
from treset.errors import TresetError
from treset.fingerprint import code_hash
from treset.plain import to_plain
from treset.resources import cohort_need, gather_need, map_need, prepare_need, sample_size, simulated_size, table_need
from treset.study import panel_rows, read_study, state_markers
from treset.study.model import FROZEN_FILES

# With --software-deployment-method conda only: cpu, gpu-cuda12 or gpu-cuda13.
ENVIRONMENT = f"../../envs/{os.environ.get('TRESET_ENV', 'cpu')}.yaml"
CONFIG_FILE = Path((workflow.overwrite_configfiles or workflow.configfiles)[-1]).resolve()

try:
    STUDY = read_study(CONFIG_FILE, config)
    PANEL = panel_rows(STUDY)
    STATE_MARKERS = state_markers(PANEL)
except TresetError as error:
    raise WorkflowError(str(error)) from None


# 'treset run' has done it; for snakemake by itself
os.environ.update(job_environment(os.environ, STUDY.root))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def inside(path):
    """A path relative to the study's folder where that is possible, so that a moved study stays done."""
    path = Path(path)
    return str(path.relative_to(STUDY.root) if path.is_relative_to(STUDY.root) else path)


SHEET = STUDY.included.set_index("sample", drop=False)
SHEET["file"] = [inside(path) for path in SHEET["file"]]
SAMPLES = list(SHEET.index)
LEVELLED = STUDY.clean.batch != "none"
ANCHORS = list(SHEET.index[SHEET["anchor"].astype(bool)])
#: Samples that tell the batches apart.
TEACHING = ANCHORS if STUDY.clean.batch == "cytonorm" else SAMPLES
MONITORS = [name for name in ("treg", "bcell", "signalling", "clinical", "discovery") if getattr(STUDY.monitors, name)]


def results(*parts):
    """A path in the study's results."""
    return inside(STUDY.results.joinpath(*parts))


def sample_files(name):
    """One file of every sample."""
    return [results("samples", sample, name) for sample in SAMPLES]


def sheet_rows(columns):
    """These columns of the sheet as plain rows, so that a rule depends on nothing else of it."""
    rows = SHEET[columns].astype(object).where(SHEET[columns].notna(), None)
    return rows.to_dict("records")


def clinical_file(wildcards):
    """The clinical table, for the monitor that reads it."""
    if wildcards.monitor != "clinical":
        return []
    return str(STUDY.root / STUDY.monitors.clinical.file)


def size(sample):
    """Cells and values of a sample by its file's header, read only for the jobs that are planned."""
    path = STUDY.root / SHEET.loc[sample, "file"]
    if STUDY.simulate is not None and not path.exists():
        return simulated_size(STUDY.simulate)
    return sample_size(path, STUDY.modality)


def sample_need(step):
    """What the job of one sample needs."""
    if step == "prepare":
        return lambda sample: prepare_need(size(sample), STUDY.modality)
    return lambda sample: map_need(size(sample), STUDY.modality, STUDY.cohort.sketch_cells)


def cohort_needs():
    """What the cohort's job needs."""
    return cohort_need(map(size, SAMPLES), STUDY.modality, STUDY.cohort.sketch_cells, STUDY.cohort.gate_cells)


def cohort_settings():
    """What the cohort's job is told of the study."""
    return {
        "modality": STUDY.modality,
        "cohort": to_plain(STUDY.cohort),
        "populations": to_plain(STUDY.populations),
        "n_top_genes": STUDY.normalise.n_top_genes,
        "backend": STUDY.backend,
        "seed": STUDY.seed,
        "gates": to_plain(STUDY.gates),
    }


def growing(need, what):
    """A resource: what the job needs by its input's size, as much again at every retry."""

    def asked(wildcards, attempt):
        found = need(wildcards.sample) if "sample" in wildcards.keys() else need()
        return getattr(found, what) * attempt

    return asked


def tables(base, copies):
    """What a job on the waist of all samples needs."""
    return lambda: table_need(len(SAMPLES), base, copies)


def gathering():
    """What gathering the waist needs."""
    return gather_need(len(SAMPLES))


def spillover_file():
    """The spillover matrix that the config names, where it names a file."""
    named = STUDY.clean.spillover
    return [] if named in ("auto", "none") else [inside(STUDY.root / named)]


wildcard_constraints:
    sample="|".join(re.escape(sample) for sample in SAMPLES) or "none",
    monitor="|".join(MONITORS) or "none",
