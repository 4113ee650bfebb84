"""Panels: what each channel of a cytometry file is.

A proposal from ``$PnN`` and ``$PnS``, the reconciliation of files that name the same marker differently, and the
application of a panel to a sample. Nothing is guessed silently: each match says how it was found.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from treset.errors import Faults
from treset.io.markers import ALIASES, clean_marker, key, role_of

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["ALIASES", "apply_panel", "clean_marker", "propose_panel", "reconcile"]

#: Roles whose channel must be in every file; the others only switch a filter off.
_NEEDED = ("lineage", "state")
#: Names of channels and markers, as `propose_panel` and `reconcile` take them.
Names = tuple[Sequence[str], Sequence[str]]


def propose_panel(headers: Mapping[str, Names]) -> pd.DataFrame:
    """Propose a panel from the names in the files, for the user to read and edit.

    Parameters
    ----------
    headers
        For each sample the channels (``$PnN``) and the markers (``$PnS``, "" where absent), in order.

    Returns
    -------
    One row a channel, in the order of first appearance: ``channel``, ``marker``, ``role`` (one of
    `treset.study.model.ROLES`), ``cofactor`` (float64, NaN: the default). A marker that two channels share is given its
    channel's name in brackets, so that markers are unique.

    Raises
    ------
    TresetError
        A channel carries different markers in different files, so that no one panel holds for all.
    """
    found: dict[str, dict[str, str]] = {}
    mass = any(_is_mass(channels) for channels, _ in headers.values())
    for sample, (channels, markers) in headers.items():
        for channel, marker in zip(channels, markers, strict=True):
            found.setdefault(channel, {}).setdefault(clean_marker(channel, marker), sample)
    rows, faults = [], []
    for channel, names in found.items():
        named = {name: sample for name, sample in names.items() if name}
        if len({canonical(name) for name in named}) > 1:
            told = " and ".join(f"{name!r} in sample {sample}" for name, sample in list(named.items())[:3])
            faults.append(f"Channel {channel} is {told}; write a panel.tsv by marker, or correct the files.")
            continue
        marker = next(iter(named), "")
        rows.append({"channel": channel, "marker": marker or channel, "role": role_of(channel, marker, mass)})
    if faults:
        raise Faults(faults)
    panel = pd.DataFrame(rows, columns=["channel", "marker", "role"], dtype="str")
    twice = panel["marker"].duplicated(keep=False) & (panel["role"] != "ignore")
    panel.loc[twice, "marker"] = panel["marker"] + " (" + panel["channel"] + ")"
    panel["cofactor"] = np.nan
    return panel


def _is_mass(channels: Sequence[str]) -> bool:
    return any(
        re.fullmatch(r"\(?[A-Z][a-z]?\d{2,3}\)?D[id]|.*\([A-Z][a-z]?\d{2,3}\)D[id]|Event_length", c) for c in channels
    )


def canonical(name: str, aliases: Mapping[str, Sequence[str]] | None = None) -> str:
    """The comparison key of a marker: case and punctuation dropped, synonyms brought to one name."""
    groups = _groups(aliases or {})
    return groups.get(key(name), key(name))


def _groups(aliases: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Comparison key of every synonym -> comparison key of its group; the study's aliases go before the built-in."""
    groups: dict[str, str] = {}
    for name, others in ALIASES.items():
        for other in (name, *others):
            groups[key(other)] = key(name)
    for name, others in aliases.items():
        root = groups.get(key(name), key(name))
        for other in (name, *others):
            groups[key(other)] = root
    return groups


def reconcile(
    headers: Mapping[str, Names], panel: pd.DataFrame, aliases: Mapping[str, Sequence[str]] | None = None
) -> pd.DataFrame:
    """Find each channel of the panel in each file.

    In order: the channel's name, where the file's own marker is absent or the same (``channel``); the marker as written
    (``marker``); the marker apart from case and punctuation (``spelling``); a synonym from the study's aliases or
    `ALIASES` (``alias``). A channel is given once only. Where a lineage or state channel is found by name but the
    file says that it carries another marker, it is not used (``contradicted``): the same metal with another antibody.

    Parameters
    ----------
    headers
        As for `propose_panel`.
    panel
        Columns channel, marker, role.
    aliases
        The study's synonyms: name -> other names. Default: none.

    Returns
    -------
    One row a sample and channel of the panel (role ignore left out): ``sample``, ``marker``, ``channel`` ("" where
    there is none), ``how`` (channel, marker, spelling, alias, missing, contradicted, or ambiguous where several
    channels match equally).
    """
    groups = _groups(aliases or {})
    wanted = panel[panel["role"] != "ignore"]
    rows = []
    for sample, (channels, markers) in headers.items():
        found = _File(channels, markers, groups).match(wanted)
        rows += [
            {"sample": sample, "marker": marker, "channel": channel, "how": how}
            for marker, (channel, how) in zip(wanted["marker"], found, strict=True)
        ]
    return pd.DataFrame(rows, columns=["sample", "marker", "channel", "how"], dtype="str")


class _File:
    """The names in one file, handed out to the rows of a panel."""

    def __init__(self, channels: Sequence[str], markers: Sequence[str], groups: Mapping[str, str]) -> None:
        self.groups = groups
        self.own = {c: clean_marker(c, m) for c, m in zip(channels, markers, strict=True)}
        self.written = dict(zip(channels, markers, strict=True))
        self.free = set(channels)

    def root(self, name: str) -> str:
        return self.groups.get(key(name), key(name))

    def match(self, wanted: pd.DataFrame) -> list[tuple[str, str]]:
        """(channel, how) for each row of ``wanted``."""
        rows = list(zip(wanted["channel"], wanted["marker"], wanted["role"], strict=True))
        # `propose_panel` writes "CD68 (Nd143Di)" where two channels carry one marker.
        markers = [marker.removesuffix(f" ({channel})") for channel, marker, _ in rows]
        roots = {self.root(marker) for marker in markers}
        result: list[tuple[str, str] | None] = [None] * len(rows)
        for place, (channel, _, role) in enumerate(rows):
            if channel in self.free and self._agrees(channel, markers[place], role, roots):
                result[place] = (channel, "channel")
                self.free.discard(channel)
        for how, form in (("marker", str), ("spelling", key), ("alias", self.root)):
            for place, marker in enumerate(markers):
                if result[place] is None:
                    result[place] = self._by_name(marker, how, form)
        return [
            found or ("", "contradicted" if channel in self.free else "missing")
            for found, (channel, _, _) in zip(result, rows, strict=True)
        ]

    def _agrees(self, channel: str, marker: str, role: str, roots: set[str]) -> bool:
        """Whether the file's marker of this channel lets the panel's stand."""
        own = self.own[channel]
        if not own or own == channel or self.root(own) == self.root(marker):
            return True
        return role not in _NEEDED and self.root(own) not in roots

    def _by_name(self, marker: str, how: str, form: Callable[[str], str]) -> tuple[str, str] | None:
        hits = [
            channel
            for channel in self.own
            if channel in self.free
            and form(marker) in {form(name) for name in (self.own[channel], self.written[channel]) if name}
        ]
        if len(hits) > 1:
            return ("", "ambiguous")
        self.free.difference_update(hits)
        return (hits[0], how) if hits else None


def apply_panel(
    adata: AnnData, panel: pd.DataFrame, aliases: Mapping[str, Sequence[str]] | None = None, sample: str = ""
) -> AnnData:
    """Give every channel of a sample its marker, role and cofactor.

    Parameters
    ----------
    adata
        As `treset.io.read_sample` gives it: ``var_names`` channels, ``var["marker"]`` ``$PnS``.
    panel
        Columns channel, marker, role and cofactor (NaN: default).
    aliases
        As for `reconcile`.
    sample
        For messages.

    Returns
    -------
    A copy whose ``var`` has ``role``, ``marker`` (the panel's name) and ``cofactor``; channels that the panel does not
    name keep their own marker and get role ``ignore``. ``uns["treset_panel"]`` is the sample's rows of
    `reconcile` (columns as lists).

    Raises
    ------
    Faults
        A marker of role lineage or state is missing, carried by another channel's name, or matched by several. Channels
        of other roles may be missing: the filter that would use them says so.
    """
    table = reconcile({sample: (list(adata.var_names), list(adata.var["marker"]))}, panel, aliases)
    wanted = panel[panel["role"] != "ignore"].reset_index(drop=True)
    _raise_missing(adata, table, wanted, sample)
    result = adata.copy()
    var = result.var
    var["role"] = "ignore"
    var["cofactor"] = np.nan
    markers, roles, cofactors = var["marker"].to_list(), var["role"].to_list(), var["cofactor"].to_numpy().copy()
    place = {channel: number for number, channel in enumerate(result.var_names)}
    for row, channel in zip(wanted.itertuples(), table["channel"], strict=True):
        if channel:
            markers[place[channel]], roles[place[channel]] = row.marker, row.role
            cofactor = getattr(row, "cofactor", None)
            cofactors[place[channel]] = np.nan if cofactor is None else float(cofactor)
    var["marker"], var["role"], var["cofactor"] = markers, roles, cofactors
    result.uns["treset_panel"] = {name: table[name].to_list() for name in table}
    return result


def _raise_missing(adata: AnnData, table: pd.DataFrame, wanted: pd.DataFrame, sample: str) -> None:
    own = {c: clean_marker(c, m) or c for c, m in zip(adata.var_names, adata.var["marker"], strict=True)}
    faults = []
    for row, how in zip(wanted.itertuples(), table["how"], strict=True):
        if row.role not in _NEEDED:
            continue
        start = f"Sample {sample}: the panel's {row.role} marker {row.marker!r} (channel {row.channel})"
        if how == "ambiguous":
            faults.append(f"{start} matches several channels of the file; name the right channel in panel.tsv.")
        elif how == "contradicted":
            faults.append(
                f"{start} is {own[row.channel]!r} in the file; if both are the same marker add an alias to the config, "
                "else correct panel.tsv or exclude the sample."
            )
        elif how == "missing":
            faults.append(
                f"{start} is not in the file{_near(row.marker, list(own.values()))}; add an alias to the config, give "
                "it the role ignore in panel.tsv, or exclude the sample."
            )
    if faults:
        raise Faults(faults)


def _near(marker: str, names: list[str]) -> str:
    close = difflib.get_close_matches(key(marker), [key(name) for name in names], n=1, cutoff=0.6)
    return f" (did you mean {next(name for name in names if key(name) == close[0])!r}?)" if close else ""
