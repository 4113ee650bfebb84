"""Which sample of a patient an endpoint means: that of a visit, or the one in a window of days."""

from __future__ import annotations

from treset.errors import TresetError
from treset.monitor.common import Cohort, suggest
from treset.study.model import Endpoint


def when(endpoint: Endpoint) -> str:
    """Name an endpoint's time: its visit, or ``days 5 to 10``."""
    if not endpoint.window:
        return endpoint.visit
    return f"days {endpoint.window[0]:g} to {endpoint.window[-1]:g}"


def missing_visit(cohort: Cohort, endpoint: Endpoint, baseline: str) -> str:
    """Why no patient can have a change for lack of visits, or ""."""
    known = cohort.sheet["visit"].unique()
    visit = endpoint.visit
    if baseline not in known:
        return f"no sample of baseline visit {baseline!r}{suggest(baseline, known)}"
    if endpoint.window:
        if len(endpoint.window) != 2:
            return "the window is not a first and a last day"
        inside = cohort.sheet["day"].between(*endpoint.window) & (cohort.sheet["visit"] != baseline)
        return "" if inside.any() else f"no sample in the {when(endpoint)}"
    if visit not in known:
        return f"no sample of visit {visit!r}{suggest(visit, known)}"
    return "" if visit != baseline else f"visit {visit!r} is the baseline itself"


def in_window(cohort: Cohort, patient: str, endpoint: Endpoint, baseline: str) -> tuple[str | None, str]:
    """The patient's sample nearest the middle of the window (the earlier of two as near), or None and why none."""
    own = cohort.sheet[(cohort.sheet["patient"] == patient) & (cohort.sheet["visit"] != baseline)]
    own = own[own["day"].between(*endpoint.window)]
    if own.empty:
        return None, f"no sample in the {when(endpoint)}"
    middle = sum(endpoint.window) / 2
    ranked = sorted((abs(day - middle), day, str(sample)) for sample, day in own["day"].items())
    if len(ranked) > 1 and ranked[0][:2] == ranked[1][:2]:
        raise TresetError(
            f"samples: patient {patient!r} has several samples on day {ranked[0][1]:g} "
            f"({ranked[0][2]}, {ranked[1][2]}), expected is one; exclude the others in the sheet (column exclude)"
        )
    return ranked[0][2], ""
