"""The report: one self-contained HTML page made of a run's results."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from treset.io.files import atomic
from treset.study.model import Study

__all__ = ["build_report"]


def build_report(study: Study, results: Path, out: Path) -> Path:
    """Write ``report.html`` from the files of a run.

    The page is one file that works offline; it holds no timestamp, so the same results give the same bytes. A result
    that is missing (a monitor, the sketch) becomes a sentence that says so.

    Parameters
    ----------
    study
        The checked study the results were made from.
    results
        The run's folder (``results/<study>/``).
    out
        The page to write, whole or not at all.

    Returns
    -------
    ``out``.

    Raises
    ------
    TresetError
        ``profiles.parquet`` is missing, or a result file is there but cannot be read as what it should be.
    """
    page = render(study, Path(results))
    with atomic(out) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return Path(out)


def render(study: Study, results: Path) -> str:
    """Make the page as text; see `build_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from treset.report.blind import blind
    from treset.report.context import Context
    from treset.report.figures.heatmap import VIRIDIS
    from treset.report.read import read_results
    from treset.report.sections import overview
    from treset.report.sections.bcell import bcell_section
    from treset.report.sections.cells import cells_section
    from treset.report.sections.clusters import clusters_section
    from treset.report.sections.discovery import discovery_section
    from treset.report.sections.methods import methods_section
    from treset.report.sections.parity import parity_section
    from treset.report.sections.patients import patients_section
    from treset.report.sections.populations import populations_section
    from treset.report.sections.quality import quality_section
    from treset.report.sections.signalling import signalling_section
    from treset.report.sections.tables import table_section
    from treset.report.sections.treg import treg_section
    from treset.report.svg import PALETTE

    context = blind(Context(study, read_results(study, results)))
    monitors = study.monitors
    sections = [
        treg_section(context),
        bcell_section(context, lead=monitors.treg is None),
        signalling_section(context),
        table_section(context, "clinical"),
        discovery_section(context),
        cells_section(context),
        clusters_section(context),
        populations_section(context),
        quality_section(context),
        patients_section(context),
        parity_section(context),
        methods_section(context),
    ]
    environment = Environment(
        loader=PackageLoader("treset.report", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    here = Path(__file__).parent
    # the sections' own files, never a user's text: safe to set as they are
    script = "\n".join((here / name).read_text(encoding="utf-8") for name in ("inflate.js", "report.js", "cellmap.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        head=overview.head(context),
        cards=overview.cards(context),
        lead=overview.lead(context),
        sections=[s for s in sections if s is not None],
        css=Markup((here / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
        palette=PALETTE,
        ramp=VIRIDIS,
    )
