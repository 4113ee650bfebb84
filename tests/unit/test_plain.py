import json
from pathlib import Path

from treset.jobs.cohort import CohortSettings
from treset.plain import from_plain, to_plain
from treset.study.model import Cohort, Condition, Endpoint, Monitors, Population, TregMonitor


def test_settings_survive_the_way_through_json():
    tree = (Population("T", None, (Condition(("CD3", "CD3E"), "+", "mean"),), without=("B",)),)
    settings = CohortSettings("rna", Cohort(resolution=0.5), tree, 2000, "cpu", 3)
    assert from_plain(CohortSettings, json.loads(json.dumps(to_plain(settings)))) == settings
    monitors = Monitors(treg=TregMonitor((Endpoint("a", "primary", "Treg", "median", "D8", marker="CD25"),)))
    assert from_plain(Monitors, json.loads(json.dumps(to_plain(monitors)))) == monitors


def test_what_is_plain_stays():
    assert to_plain({"a": (1, None, "x", True)}) == {"a": [1, None, "x", True]}
    assert isinstance(to_plain(Path("a")), Path)
