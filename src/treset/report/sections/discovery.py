"""Discovery: what changed, state and abundance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Cell, Column, Figure, Note, Section, Table, download
from treset.report.context import Context
from treset.report.figures.paired import NOTED, Pairs, direction, noted, paired
from treset.report.figures.volcano import Cloud, volcano
from treset.report.sections.effects import notes, verdict
from treset.study.model import Contrast, DiscoveryMonitor

STATE = ("median", "mean", "percent_positive", "signature")
#: Rows shown of each table; the download has all.
SHOWN = 30


def feature(context: Context, row: dict) -> str:
    """Name what was tested, a cluster with the population it was named after."""
    name = str(row["population"])
    clusters = context.results.clusters
    own = clusters.loc[clusters["cluster"] == name, "population"]
    if row["origin"] == "cluster" and len(own) == 1 and own.iloc[0]:
        name = f"{name} ({own.iloc[0]})"
    return f"{row['marker']} on {name}" if row["measure"] in ("median", "signature") else name


def ranked(effects: pd.DataFrame, state: bool) -> pd.DataFrame:
    """Give the rows of state or abundance in the monitor's order, called first; rows that were not evaluable last."""
    rows = effects[effects["measure"].isin(STATE) == state]
    called = (rows["verdict"] == "called").map({True: 0, False: 1})
    tested = rows["p_value"].isna()
    order = rows.assign(_called=called, _tested=tested).sort_values(["_called", "_tested"], kind="stable")
    return order.drop(columns=["_called", "_tested"])


def pairs_of(context: Context, settings: DiscoveryMonitor, row: dict) -> pd.DataFrame:
    """Give the values of one feature in pairs: columns pair, reference, test.

    Values that rest on fewer than ``min_events`` cells are left out; several samples of one pair and label are not
    averaged: such a pair is left out.
    """
    empty = pd.DataFrame(columns=["pair", "reference", "test"])
    sheet = context.subjects()
    if settings.pair is None or settings.column not in sheet or settings.pair not in sheet:
        return empty
    values = context.values(row["population"], row["measure"], row["origin"], None, row["marker"])
    values = values[(values["n_cells"] >= settings.min_events) & values["value"].notna()][["sample", "value"]]
    own = sheet[["sample"]].assign(label=sheet[settings.column], pair=sheet[settings.pair]).merge(values, on="sample")
    own = own[own["label"].isin([settings.reference, settings.test])]
    own = own[~own.duplicated(["pair", "label"], keep=False)]
    if own.empty:
        return empty
    wide = own.pivot_table(index="pair", columns="label", values="value", sort=False)
    wide = wide.reindex(columns=[settings.reference, settings.test]).set_axis(["reference", "test"], axis=1)
    return wide.reset_index()


def top_pairs(context: Context, settings: DiscoveryMonitor, effects: pd.DataFrame) -> Block:
    """Draw the first state feature in the gates and its cluster reading (or the next feature) side by side."""
    state = ranked(effects, state=True)
    state = state[state["p_value"].notna()]
    if state.empty or settings.pair is None:
        return Note("No paired state feature could be tested: there is nothing to draw.", "missing")
    first = state.iloc[0].to_dict()
    if settings.between is not None:
        return _by_group(context, settings, settings.between, first)
    other = state[(state["marker"] == first["marker"]) & (state["origin"] != first["origin"])]
    second = (other if len(other) else state.iloc[1:]).head(1).to_dict("records")
    features = []
    for row in (first, *second):
        values = pairs_of(context, settings, row)
        if len(values):
            told = f"{row['origin']}: {noted(str(row['note'])) or direction(values)}, p {text.p_value(row['p_value'])}"
            features.append(Pairs(feature(context, row), told, values))
    if not features:
        return Note("The profiles hold no complete pair of the first feature: there is nothing to draw.", "missing")
    title = f"Largest change: {features[0].title}"
    if first["verdict"] == "called":
        word = "rises" if first["estimate"] > 0 else "falls"
        title = f"{features[0].title} {word} from {settings.reference} to {settings.test}"
    units = text.UNITS.get(context.study.modality, "transformed")
    svg = paired(features, settings.reference, settings.test, title)
    caption = f"Sample medians ({units}); a line joins a {settings.pair}'s two samples. Bars: medians."
    frame = pd.concat([f.values.assign(feature=f.title) for f in features])
    return Figure(title, svg, caption, download("top_feature", frame))


def _by_group(context: Context, settings: DiscoveryMonitor, between: Contrast, row: dict) -> Block:
    """Draw one feature in the two groups whose changes are compared, side by side."""
    values = pairs_of(context, settings, row)
    parts = zip((between.test, between.reference), _split(context, settings, between, values), strict=True)
    features = [Pairs(label, direction(own), own) for label, own in parts if len(own)]
    if len(features) < 2:
        return Note("The profiles hold no complete pair of the first feature in both groups.", "missing")
    name = feature(context, row)
    title = f"Largest difference of changes: {name}"
    if row["verdict"] == "called":
        beyond = text.change(float(row["estimate"]), str(row["scale"]))
        title = f"{name}: the change in {between.test} is {beyond} beyond that in {between.reference}"
    units = text.UNITS.get(context.study.modality, "transformed")
    svg = paired(features, settings.reference, settings.test, title, one_scale=True)
    caption = (
        f"Sample medians ({units}), {row['origin']}; a line joins a {settings.pair}'s two samples. Bars: medians. "
        f"p {text.p_value(row['p_value'])} for the changes of both groups compared."
    )
    frame = pd.concat([f.values.assign(feature=name, group=f.title) for f in features])
    return Figure(title, svg, caption, download("top_feature", frame))


def _split(
    context: Context, settings: DiscoveryMonitor, between: Contrast, values: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the pairs of the test group and of the reference group."""
    sheet = context.subjects()
    group = dict(zip(sheet[settings.pair].astype(str), sheet[between.column].astype(str), strict=True))
    label = values["pair"].astype(str).map(group)
    test, reference = (values[label == name].reset_index(drop=True) for name in (between.test, between.reference))
    return test, reference


def _median_change(values: pd.DataFrame, state: bool) -> str:
    """Give the median of the pairs' changes, of shares as log2 of their ratio (pairs without cells left out)."""
    full = values.dropna(subset=["test", "reference"])
    if not state:
        full = np.log2(full.loc[(full["test"] > 0) & (full["reference"] > 0), ["test", "reference"]])
    change = full["test"] - full["reference"]
    return text.signed(float(change.median())) if len(change) else text.DASH


def compared(settings: DiscoveryMonitor, before: str) -> str:
    """Say which groups' changes are compared, behind ``before``; "" where none are."""
    between = settings.between
    if between is None:
        return ""
    return f"{before}the changes of {between.column} {between.test} and {between.reference} compared"


def clouds(context: Context, settings: DiscoveryMonitor | None, effects: pd.DataFrame) -> list[Block]:
    """Draw a volcano of state and one of abundance."""
    blocks: list[Block] = []
    for state, word, axis in ((True, "state", "change of the median"), (False, "abundance", "change of the share")):
        rows = ranked(effects, state)
        tested = rows[rows["p_value"].notna()]
        if tested.empty:
            blocks.append(Note(_untested(rows, word), "missing"))
            continue
        called = int((rows["verdict"] == "called").sum())
        scale = ", ".join(text.scale_name(s) for s in tested["scale"].unique())
        names = [feature(context, r) for r in tested.to_dict("records")]
        cloud = Cloud(
            f"Differential {word}: {called} of {len(tested)} called",
            f"{axis} ({scale})",
            tested.assign(called=tested["verdict"] == "called", label=names),
        )
        minimum = 0.0
        if settings is not None:
            minimum = settings.min_state_effect if state else settings.min_abundance_effect
        caption = f"Round: gates; square: clusters. Dashed: smallest change called ({minimum:g})."
        untested = len(rows) - len(tested)
        caption += f" {text.plural(untested, 'feature')} could not be tested." if untested else ""
        blocks.append(Figure(cloud.title, volcano(cloud, minimum), caption, download(f"discovery_{word}", rows)))
    return blocks


def _untested(rows: pd.DataFrame, word: str) -> str:
    """Say that nothing could be tested, and why where all rows say the same."""
    reasons = [note for note in rows["note"].astype(str).unique() if note]
    why = f": {reasons[0].rstrip('.')}" if len(reasons) == 1 else ""
    listed = f" {text.plural(len(rows), 'feature')} in monitors/discovery/effects.tsv." if len(rows) else ""
    return f"No differential {word} could be tested{why}.{listed}"


def top_table(context: Context, settings: DiscoveryMonitor | None, effects: pd.DataFrame, state: bool) -> Table:
    """Make the table of the first rows, called ones first."""
    every = ranked(effects, state)
    groups = settings.between if settings else None
    rows = []
    for row in every.head(SHOWN).to_dict("records"):
        values = pairs_of(context, settings, row) if settings else pd.DataFrame()
        way, note = noted(str(row["note"])), NOTED.sub("", str(row["note"])).strip("; ")
        if groups is not None:
            middle = [_median_change(own, state) for own in _split(context, settings, groups, values)]
            way, _, note = note.partition("; ") if " pairs" in note else ("", "", note)
        else:
            middle = [text.number(values[c].median()) if len(values) else text.DASH for c in ("reference", "test")]
            way = way or (direction(values) if len(values) else "")
        rows.append(
            [
                Cell(feature(context, row), style="head"),
                Cell(str(row["origin"])),
                Cell(text.count(row["n"])),
                Cell(middle[0]),
                Cell(middle[1]),
                Cell(text.change(row["estimate"], str(row["scale"])), repr(row["estimate"]).replace("nan", "")),
                Cell(text.interval(row["lower"], row["upper"], str(row["scale"]))),
                Cell(way or text.DASH),
                Cell(text.p_value(row["p_value"]), repr(row["p_value"]).replace("nan", "")),
                Cell(text.p_value(row["q_value"]), repr(row["q_value"]).replace("nan", "")),
                verdict(str(row["verdict"])),
                Cell(note),
            ]
        )
    names = (settings.reference, settings.test) if settings else ("reference", "test")
    told, change = [f"median, {name}" for name in names], "change"
    if groups is not None:
        scale = "median change" if state else "median log2 change"
        told = [f"{scale}, {label}" for label in (groups.test, groups.reference)]
        change = "difference"
    heads = ["feature", "origin", "n", *told, change, "95 % CI", "direction"]
    heads += ["p", "q", "verdict", "note"]
    columns = [Column(h, h in ("n", change, "p", "q") or h.startswith("median")) for h in heads]
    if not any(row[-1].text for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    word = "state" if state else "abundance"
    caption = (
        f"{min(SHOWN, len(every))} of {text.count(len(every))} rows; all are in the TSV. Medians are over samples."
    )
    return Table(f"Differential {word}", columns, rows, caption, download(f"discovery_{word}", every))


def discovery_section(context: Context) -> Section | None:
    """Make the section, or None where the study has no discovery monitor."""
    settings = context.study.monitors.discovery
    monitor = context.results.monitors.get("discovery")
    if settings is None and monitor is None:
        return None
    blocks: list[Block] = []
    if monitor is None:
        blocks.append(Note(context.results.gaps.get("monitors/discovery", "monitors/discovery is missing."), "missing"))
        return Section("discovery", "Discovery", blocks, "Discovery")
    blocks += clouds(context, settings, monitor.effects)
    for state in (True, False):
        rows = monitor.effects[monitor.effects["measure"].isin(STATE) == state]
        # rows without any number would make a table of dashes: the sentence above says why
        if rows[["estimate", "p_value"]].notna().to_numpy().any():
            blocks.append(top_table(context, settings, monitor.effects, state))
    blocks += notes(monitor.summary)
    rule = ""
    if settings is not None:
        rule = (
            f"{settings.test} against {settings.reference} (column {settings.column}"
            + (f", paired by {settings.pair}" if settings.pair else ", unpaired")
            + compared(settings, "; ")
            + f"); called: q under {settings.fdr:g} and at least the smallest change."
        )
    return Section("discovery", str(monitor.summary.get("title", "Discovery")), blocks, "Discovery", rule)
