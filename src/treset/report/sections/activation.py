"""Cards of activation: of Treg, and of the effector cells that a selective drug leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from treset.report import text
from treset.report.blocks import Card
from treset.report.context import Context
from treset.report.sections.treg import primary

#: Measures of a cell's state.
STATE = ("median", "mean", "percent_positive", "signature")
#: Branches of the tree whose cells are effectors, where they are no Treg.
EFFECTORS = ("T", "NK")
#: Where no endpoint asks: populations whose effector signature is shown, the first that discovery tested.
SHOWN = ("CD8 T", "Tconv", "CD4 T", "T", "NK")
ASKED = ("primary", "secondary")


def activation_cards(context: Context) -> list[Card]:
    """Make the cards that the results have rows for; a study without the Treg monitor has none."""
    if context.study.monitors.treg is None:
        return []
    first = primary(context)
    treg = first.population if first is not None else "Treg"

    def of_treg(population: str) -> bool:
        return population == treg

    def effector(population: str) -> bool:
        above = context.ancestors(population)
        return treg not in (population, *above) and bool({population, *above} & set(EFFECTORS))

    made = (
        _card(context, "Treg activation", of_treg, "Treg activation", (treg,)),
        _card(context, "Effector activation", effector, "Teff activation", SHOWN),
    )
    return [card for card in made if card is not None]


def _card(
    context: Context, title: str, member: Callable[[str], bool], signature: str, populations: tuple[str, ...]
) -> Card | None:
    rows = _endpoints(context, member)
    if rows.empty or not rows["role"].isin(ASKED).any():
        found = _signature(context, signature, populations)
        rows = found if len(found) else rows
    return None if rows.empty else _made(context, title, rows)


def _endpoints(context: Context, member: Callable[[str], bool]) -> pd.DataFrame:
    """Give the state rows of the Treg monitor, those that the config asks for first."""
    monitor, treg = context.results.monitors.get("treg"), context.study.monitors.treg
    if monitor is None or treg is None:
        return pd.DataFrame()
    rows = monitor.effects
    rows = rows[rows["measure"].isin(STATE) & (rows["origin"] == treg.origin) & rows["population"].map(member)]
    rows = rows[rows["role"].isin([*ASKED, "descriptive"])]
    return rows.assign(_asked=~rows["role"].isin(ASKED)).sort_values("_asked", kind="stable").drop(columns="_asked")


def _signature(context: Context, signature: str, populations: tuple[str, ...]) -> pd.DataFrame:
    """Give discovery's row of a signature in the first of the populations that was tested, by gate."""
    monitor = context.results.monitors.get("discovery")
    if monitor is None:
        return pd.DataFrame()
    rows = monitor.effects
    rows = rows[(rows["measure"] == "signature") & (rows["marker"] == signature) & (rows["origin"] != "cluster")]
    rows = rows[rows["estimate"].notna()].set_index("population", drop=False)
    return next((rows.loc[[p]] for p in populations if p in rows.index), pd.DataFrame())


def _made(context: Context, title: str, rows: pd.DataFrame) -> Card:
    """Write the first row large and the next ones small; only an endpoint of the config has a verdict."""
    first = rows.iloc[0].to_dict()
    asked = first["role"] in ASKED
    scale = str(first["scale"])
    caption = f"{context.label(first)}, {first['contrast']}"
    if not text.missing(first["estimate"]):
        caption += f" (95 % CI {text.interval(first['lower'], first['upper'], scale)})"
    caption += f", n = {text.count(first['n'])}"
    said = [w for w in (_chance(first), "" if asked else str(first["verdict"]), str(first["note"])) if w]
    more = [
        f"{r['marker']} {text.change(r['estimate'], str(r['scale']))} ({r['verdict']})"
        for r in rows.iloc[1:3].to_dict("records")
        if asked and r["role"] in ASKED
    ]
    reason = "; ".join(said) + (f". Also {', '.join(more)}" if more else "")
    rule = (
        f"met: {first['role']} endpoint {first['endpoint']} by {'p' if first['role'] == 'primary' else 'q'}"
        if asked
        else "no endpoint of the config: no verdict"
    )
    value = text.change(first["estimate"], scale)
    return Card(title, str(first["verdict"]) if asked else "", value, caption, f"{reason}." if reason else "", rule)


def _chance(row: dict) -> str:
    which = "p_value" if row["role"] == "primary" or text.missing(row["q_value"]) else "q_value"
    value = row[which]
    if text.missing(value):
        return ""
    said = text.p_value(value)
    return f"{which[0]} {said}" if said.startswith("<") else f"{which[0]} = {said}"
