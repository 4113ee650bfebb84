"""The Treg monitor: the primary endpoint by visit, the forest, all effects."""

from __future__ import annotations

import pandas as pd

from treset.profile import reading
from treset.report import text
from treset.report.blocks import Block, Figure, Note, Section, download
from treset.report.context import Context, labels, visits
from treset.report.figures.forest import forest, rows_of
from treset.report.figures.longitudinal import Panel, longitudinal
from treset.report.sections.effects import SCALES, effects_table, notes
from treset.study.model import Endpoint

NAMES = {"gate": "gates", "cluster": "clusters", "adjusted": "clusters, adjusted", "external": "external"}
#: Rows of the forest on the first screen; the section has them all.
FIRST = 8


def primary(context: Context) -> Endpoint | None:
    """Give the primary endpoint of the config."""
    treg = context.study.monitors.treg
    return next((e for e in treg.endpoints if e.role == "primary"), None) if treg else None


def by_visit(context: Context, endpoint: Endpoint, wide: bool = False) -> Block:
    """Draw an endpoint's measure by visit, gates and clusters side by side."""
    treg = context.study.monitors.treg
    first = treg.origin if treg else "gate"
    parent = endpoint.parent or context.parents.get(endpoint.population, "")
    label = text.measure(endpoint.measure, endpoint.population, parent, endpoint.marker or "", context.study.modality)
    panels, used = [], []
    for origin in dict.fromkeys((first, "gate", reading(context.unsupervised, endpoint.measure))):
        rows = context.values(
            endpoint.population, endpoint.measure, origin, endpoint.parent, endpoint.marker, resting=True
        )
        rows = rows.assign(n_cells=context.rests_on(rows, endpoint.measure, origin, endpoint.marker))
        if rows["value"].notna().any():
            panels.append(Panel(NAMES.get(origin, origin) + (", tested" if origin == first else ""), rows))
            used.append(rows)
    if not panels:
        return Note(f"{label}: the profiles hold no value, so nothing is drawn by visit.", "missing")
    sheet = context.subjects(resting=True)
    group = "arm" if len(labels(sheet["arm"])) > 1 else None
    colour = None if group else ("disease" if 1 < len(labels(sheet["disease"])) <= 6 else None)
    minimum = treg.min_events if treg else 0
    svg = longitudinal(panels, visits(sheet), label, group, minimum, colour, context.study.dosing)
    thick = f"median and quartiles of each {group}" if group else "median and quartiles of all patients"
    caption = f"Thin: patients (a gap is a missing visit); thick: {thick}."
    if context.study.dosing:
        caption += " Triangles under the axis: days of a dose."
    if any((rows["n_cells"] < minimum).any() for rows in used):
        caption += f" Hollow: fewer than {minimum} cells to rest on, not used."
    return Figure(_finding(context, endpoint, label), svg, caption, download(endpoint.name, pd.concat(used)), wide)


def _finding(context: Context, endpoint: Endpoint, label: str) -> str:
    """Give a title that states a finding only where the primary test supports it."""
    monitor = context.results.monitors.get("treg")
    if monitor is None:
        return f"{label}, by visit"
    rows = monitor.effects
    rows = rows[(rows["endpoint"] == endpoint.name) & (rows["role"] == "primary") & (rows["verdict"] == "met")]
    if len(rows) != 1 or endpoint.role != "primary" or monitor.summary.get("verdict") != "met":
        return f"{label}, by visit"
    row = rows.iloc[0]
    word = "higher" if row["estimate"] > 0 else "lower"
    return f"{label}: {word} ({row['contrast']}, {text.change(row['estimate'], row['scale'])})"


def lead_forest(context: Context) -> Block:
    """Draw the endpoints of the trial on the first screen."""
    monitor = context.results.monitors.get("treg")
    if monitor is None:
        return Note(
            context.results.gaps.get("monitors/treg", "monitors/treg is missing.") + " No endpoint was tested.",
            "missing",
        )
    found = monitor.effects
    effects = found.iloc[sorted(range(len(found)), key=lambda i: _rank(context, found.iloc[i]))]
    chosen = effects[effects["role"].isin(["primary", "secondary"])].head(FIRST)
    more = effects[~effects.index.isin(chosen.index) & effects["estimate"].notna() & (effects["scale"] != "percent")]
    chosen = effects[
        effects.index.isin(chosen.index) | effects.index.isin(more.index[: max(0, FIRST - 2 - len(chosen))])
    ]
    title = "Endpoints: change with its 95 % interval"
    svg = forest(
        rows_of(chosen, [context.label(r).split(" (")[0] for r in chosen.to_dict("records")], _alpha(context)), title
    )
    rest = len(effects) - len(chosen)
    caption = (
        f"Filled: p (primary) or q (secondary) under {_alpha(context):g}; supporting rows are no tests and stay open."
        + (f" {text.plural(rest, 'further row')} in the section below." if rest else "")
    )
    return Figure(title, svg, caption, download("treg_effects", monitor.effects))


def _rank(context: Context, row: pd.Series) -> tuple[int, bool, bool]:
    """Order rows by role; of the supporting ones the other reading of the primary endpoint comes first."""
    roles = ("primary", "secondary", "supporting", "descriptive")
    first, treg = primary(context), context.study.monitors.treg
    again = bool(treg and row["origin"] == treg.origin)
    role = roles.index(row["role"]) if row["role"] in roles else len(roles)
    return role, role > 1 and (first is None or row["endpoint"] != first.name), role > 1 and again


def _alpha(context: Context) -> float:
    treg = context.study.monitors.treg
    return treg.alpha if treg else 0.05


def treg_section(context: Context) -> Section | None:
    """Make the section, or None where the study has no Treg monitor."""
    treg = context.study.monitors.treg
    if treg is None and "treg" not in context.results.monitors:
        return None
    blocks: list[Block] = []
    monitor = context.results.monitors.get("treg")
    if monitor is None:
        blocks.append(Note(context.results.gaps.get("monitors/treg", "monitors/treg is missing."), "missing"))
    else:
        blocks.append(
            effects_table(context, monitor.effects, "Every endpoint", "treg_effects", SCALES, monitor.effects)
        )
        blocks += notes(monitor.summary)
    for endpoint in (treg.endpoints if treg else ())[:12]:
        if endpoint.role != "primary":
            blocks.append(by_visit(context, endpoint))
    return Section("treg", str(monitor.summary.get("title") if monitor else "Treg"), blocks, "Treg")
