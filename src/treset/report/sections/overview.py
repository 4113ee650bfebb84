"""The first screen: header, verdict cards, and the two pictures that matter."""

from __future__ import annotations

from dataclasses import dataclass

import treset
from treset.report import text
from treset.report.blocks import Block, Card, Figure, Note, download
from treset.report.context import Context
from treset.report.figures.forest import forest, rows_of
from treset.report.read import Monitor
from treset.report.sections import bcell, discovery, treg
from treset.report.sections.activation import activation_cards
from treset.report.sections.quality import quality_card
from treset.report.sections.tables import NAMES, every_effect

ASSAYS = {"mass_cytometry": "mass cytometry", "flow_cytometry": "flow cytometry", "rna": "scRNA-seq"}
TITLES = {"treg": "Treg", "bcell": "B-cell reset", **NAMES, "discovery": "Discovery"}


@dataclass(frozen=True)
class Head:
    """What the page's header says."""

    title: str
    version: str
    facts: list[str]


def head(context: Context) -> Head:
    """Count subjects, samples and cells, and say what ran."""
    study, results = context.study, context.results
    version = str(results.run.get("treset") or treset.__version__)
    people = context.subjects()["patient"].replace("", float("nan")).nunique()
    facts = [
        ASSAYS.get(study.modality, study.modality),
        text.plural(people, "subject"),
        text.plural(len(study.included), "sample"),
    ]
    rows = context.profiles
    kept = rows[(rows["population"] == "cells") & (rows["measure"] == "count") & (rows["origin"] == "gate")][
        "value"
    ].sum()
    if not kept and len(results.quality):
        kept = results.quality.groupby("sample")["kept"].last().sum()
    cells = f"{text.plural(int(kept), 'cell')} kept" if kept else ""
    shown = f" ({text.count(len(results.sketch.obs))} in the map)" if results.sketch is not None and cells else ""
    own = results.run.get("backend") if isinstance(results.run.get("backend"), dict) else {}
    ran = (
        f"ran on {own['used']}" + (f" ({own['device']})" if own.get("device") else "")
        if own.get("used")
        else "backend not recorded"
    )
    facts += [
        cells + shown,
        f"treset {version}",
        ran,
        "blinded (arms by code, doses and comparisons withheld)" if study.blinded else "not blinded",
    ]
    when = results.run.get("date") or results.run.get("time")
    return Head(study.title or study.name, version, [f for f in (*facts, str(when or "")) if f])


def rule(context: Context, name: str) -> str:
    """Say in words what a verdict asks for."""
    m = context.study.monitors
    if name == "treg" and m.treg:
        first = treg.primary(context)
        if first is None:
            return ""
        time = first.visit or f"days {' to '.join(f'{day:g}' for day in first.window)}"
        alpha = m.treg.alpha if first.alpha is None else first.alpha
        if first.claim != "change":
            margin = text.change(first.margin, first.scale) if first.margin is not None else "that is not set"
            claim = first.claim.replace("_", "-")
            return f"met: {claim} at {time} within a margin of {margin}, one-sided p < {alpha:g}"
        size = f" of at least {text.change(first.minimum_effect, first.scale)}" if first.minimum_effect else ""
        way = {"increase": "an increase", "decrease": "a decrease"}.get(first.direction, "a change")
        if first.direction == "decrease" and first.minimum_effect:
            size = f" to at most {text.change(-abs(first.minimum_effect), first.scale)}"
        return f"met: {way}{size} at {time} with two-sided p < {alpha:g}"
    if name == "bcell" and m.bcell:
        share = f"{100 * m.bcell.min_reset_share:g} %"
        return f"met: at least {share} of the patients reset, whatever those not evaluable would be"
    if name == "discovery" and m.discovery:
        d = m.discovery
        least = f"{d.min_state_effect:g} (state) or {d.min_abundance_effect:g} (abundance, log2)"
        return f"called: q < {d.fdr:g} and a change of {least} or more"
    return ""


def card(context: Context, name: str, monitor: Monitor | None) -> Card:
    """Make a monitor's card; a monitor that left no result is not evaluable."""
    if monitor is None:
        why = context.results.gaps.get(f"monitors/{name}", "it left no result.")
        return Card(TITLES[name], "not evaluable", text.DASH, "no result", why, rule(context, name), name)
    summary = monitor.summary
    shown = summary.get("headline") if isinstance(summary.get("headline"), dict) else {}
    word = str(summary.get("verdict") or "not evaluable")
    value, caption = str(shown.get("value") or text.DASH), str(shown.get("caption") or "")
    return Card(
        str(summary.get("title") or TITLES[name]),
        word,
        value,
        caption,
        str(summary.get("reason") or ""),
        rule(context, name),
        name,
    )


def cards(context: Context) -> list[Card]:
    """Make one card a monitor, of the Treg monitor activation too, and data quality."""
    asked = context.study.monitors
    names = [n for n in TITLES if getattr(asked, n) is not None or n in context.results.monitors]
    made = []
    for name in names:
        made.append(card(context, name, context.results.monitors.get(name)))
        made += activation_cards(context) if name == "treg" else []
    return [*made, quality_card(context)]


def lead(context: Context) -> list[Block]:
    """Choose the pictures of the first screen: Treg, else B cells, else discovery."""
    m = context.study.monitors
    first = treg.primary(context)
    if m.treg and first is not None:
        return [treg.by_visit(context, first), treg.lead_forest(context)]
    if m.bcell:
        return [bcell.courses(context, m.bcell)[0]]
    for name in NAMES:
        if name in context.results.monitors:
            return [every_effect(context, name, rows=10)]
    found = context.results.monitors.get("discovery")
    if m.discovery and found is not None:
        effects = discovery.ranked(found.effects, state=True)
        top = effects[effects["p_value"].notna()].head(8)
        if top.empty:
            # the card says why
            return []
        names = [discovery.feature(context, r) for r in top.to_dict("records")]
        title = "Largest state changes"
        svg = forest(rows_of(top, names, m.discovery.fdr), title)
        caption = (
            "Ranked by what the interval grants, patients without a value counted as unchanged; filled: q under "
            f"{m.discovery.fdr:g}; all rows: Discovery."
        )
        return [
            discovery.top_pairs(context, m.discovery, found.effects),
            Figure(title, svg, caption, download("first_changes", top)),
        ]
    why = "No monitor left a result" if any(vars(m).values()) else "The config asks for no monitor"
    return [Note(f"{why}: the sections below show what there is.", "missing")]
