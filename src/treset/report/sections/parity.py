"""The comparison of the backends, where it was asked for (``treset parity --report``)."""

from __future__ import annotations

import pandas as pd

from treset.report.blocks import Block, Note, Section, table
from treset.report.context import Context

_WORD = {True: "within", False: "not within", None: "not judged"}
_STALE = (
    "This report's profiles are not those of either compared run: the results have changed since, or the GPU did not "
    "repeat itself. Run treset parity --report again before the comparison is relied on."
)


def parity_section(context: Context) -> Section | None:
    """Make the section; None where there is no comparison. A blinded report withholds the endpoints."""
    found = context.results.parity
    if not found:
        return None
    backends = found["backends"]
    lead = "The backends agree" if found["agree"] else "The backends do not agree"
    devices = f"on the CPU ({backends['cpu']['device']}) and on the GPU ({backends['gpu']['device']})"
    said = [
        f"The study was run whole {devices}.",
        f"{lead}: {found['reason']}.",
    ]
    blocks: list[Block] = [Note("\n".join(said), "text" if found["agree"] else "warning")]
    if not found["current"]:
        blocks.append(Note(_STALE, "warning"))
    checks = pd.DataFrame(found["checks"]).assign(within=[_WORD[row["within"]] for row in found["checks"]])
    blocks.append(table("Checks", checks, "parity_checks", wide=("note",)))
    if not context.study.blinded:
        for title, name in (("Endpoints by both backends", "endpoints"), ("Verdicts by both backends", "verdicts")):
            if found[name]:
                blocks.append(table(title, pd.DataFrame(found[name]), f"parity_{name}"))
    for title, name in (("Populations by both backends", "populations"), ("Largest changes of shares", "shares")):
        if found[name]:
            blocks.append(table(title, pd.DataFrame(found[name]), f"parity_{name}", folded=True))
    return Section("parity", "CPU against GPU", blocks, "CPU and GPU")
