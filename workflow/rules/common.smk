# The study, read once, and what the rules share.
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from treset.errors import TresetError
from treset.fingerprint import code_hash
from treset.plain import to_plain
from treset.study import panel_rows, read_study

CONFIG_FILE = Path((workflow.overwrite_configfiles or workflow.configfiles)[-1]).resolve()

try:
    STUDY = read_study(CONFIG_FILE, config)
    PANEL = panel_rows(STUDY)
except TresetError as error:
    raise WorkflowError(str(error)) from None


def inside(path):
    """A path relative to the study's folder where that is possible, so that a moved study stays done."""
    path = Path(path)
    return str(path.relative_to(STUDY.root) if path.is_relative_to(STUDY.root) else path)


SHEET = STUDY.included.set_index("sample", drop=False)
SHEET["file"] = [inside(path) for path in SHEET["file"]]
SAMPLES = list(SHEET.index)
LEVELLED = STUDY.clean.batch == "cytonorm"
ANCHORS = list(SHEET.index[SHEET["anchor"].astype(bool)])
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


def spillover_file():
    """The spillover matrix that the config names, where it names a file."""
    named = STUDY.clean.spillover
    return [] if named in ("auto", "none") else [inside(STUDY.root / named)]


def megabytes(base, per_input):
    """Memory by the size of the input (compressed tables grow in memory)."""
    return lambda wildcards, input, attempt: int((base + per_input * input.size_mb) * attempt)


wildcard_constraints:
    sample="|".join(re.escape(sample) for sample in SAMPLES) or "none",
    monitor="|".join(MONITORS) or "none",
