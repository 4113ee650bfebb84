"""Labels of cells as names and codes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from treset.phenotype.labels import coded


@given(labels=st.lists(st.sampled_from(["", "p1", "p10", "p2"]), max_size=60), text=st.booleans())
def test_names_are_sorted_and_codes_give_the_labels_back_in_any_order(labels: list[str], text: bool) -> None:
    names, codes = coded(np.array(labels, dtype=str if text else object))
    assert names == tuple(sorted(set(labels)))
    assert [names[code] for code in codes] == labels
