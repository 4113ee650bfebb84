"""Discovery on the BCR-XL data (Bodenmiller et al. 2012, doi:10.1038/nbt.2317): what is known of B cells must come out.

The gates here are three thresholds on arcsinh(x / 5), enough to read B cells (CD20+ HLA-DR+ CD3-) and T cells (CD3+
CD20-) without the pipeline.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from monitor_tables import row, sheet, table

from treset.io.fcs import read_fcs
from treset.monitor import discovery
from treset.study.model import DiscoveryMonitor

DATA = os.environ.get("TRESET_DATA")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA, reason="TRESET_DATA is not set"),
]
STATE = ("pNFkB", "pp38", "pStat5", "pAkt", "pStat1", "pSHP2", "pZap70", "pStat3", "pSlp76", "pBtk", "pPlcg2", "pErk",
         "pLat", "pS6")  # fmt: skip


def short(name: str) -> str:
    """``pS6(Yb172)Dd`` -> ``pS6``."""
    return name.split("(", maxsplit=1)[0].strip()


@pytest.fixture(scope="module")
def waist():
    samples, rows = [], []
    for path in sorted((Path(str(DATA)) / "bcrxl").glob("*.fcs")):
        _, patient, stimulus = path.stem.rsplit("_", 2)
        samples.append({"sample": path.stem, "patient": patient, "visit": "V1", "stimulus": stimulus, "path": path})
    samples = sheet(samples)
    for _, sample in samples.iterrows():
        header, events = read_fcs(sample["path"])
        names = [short(marker or channel) for channel, marker in zip(header.channels, header.markers, strict=True)]
        x = {name: np.arcsinh(events[:, i] / 5) for i, name in enumerate(names)}
        gates = {"B": (x["CD20"] > 2.5) & (x["HLA-DR"] > 2.5) & (x["CD3"] < 2), "T": (x["CD3"] > 3) & (x["CD20"] < 1.5)}
        for population, gate in gates.items():
            n = int(gate.sum())
            rows.append(row(sample, population, "percent_of_total", 100 * n / gate.size, gate.size, parent="cells"))
            rows += [
                row(sample, population, "median", float(np.median(x[m][gate])), n, parent="cells", marker=m)
                for m in STATE
            ]
    return table(rows), samples.drop(columns="path")


def test_b_cell_signalling_comes_out(waist):
    result = discovery(*waist, DiscoveryMonitor("stimulus", "Reference", "BCR-XL"))
    found = result.effects[result.effects["endpoint"] == "state"].set_index(["population", "marker"])
    assert found.index[0] == ("B", "pS6")
    for marker, size in (("pS6", 2.7), ("pPlcg2", 1.4), ("pErk", 1.1)):
        hit = found.loc[("B", marker)]
        assert hit["verdict"] == "called" and "up in 8 of 8 pairs" in hit["note"]
        assert hit["estimate"] == pytest.approx(size, abs=0.35)
    assert found.loc[("B", "pNFkB"), "verdict"] == "called"
    assert "down in 8 of 8 pairs" in found.loc[("B", "pNFkB"), "note"]
    # a true negative
    assert found.loc[("B", "pStat5"), "verdict"] != "called"
    print(found[["estimate", "p_value", "q_value", "verdict", "note"]].to_string())
