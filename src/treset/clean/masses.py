"""Metals and masses of mass cytometry channels, and which masses contaminate which."""

from __future__ import annotations

import re

#: Masses of the stable isotopes of the metals in use (IUPAC 2013, doi:10.1515/pac-2015-0503).
ISOTOPES: dict[str, tuple[int, ...]] = {
    "Y": (89,),
    "Rh": (103,),
    "Pd": (102, 104, 105, 106, 108, 110),
    "Ag": (107, 109),
    "Cd": (106, 108, 110, 111, 112, 113, 114, 116),
    "In": (113, 115),
    "I": (127,),
    "La": (138, 139),
    "Ce": (136, 138, 140, 142),
    "Pr": (141,),
    "Nd": (142, 143, 144, 145, 146, 148, 150),
    "Sm": (144, 147, 148, 149, 150, 152, 154),
    "Eu": (151, 153),
    "Gd": (152, 154, 155, 156, 157, 158, 160),
    "Tb": (159,),
    "Dy": (156, 158, 160, 161, 162, 163, 164),
    "Ho": (165,),
    "Er": (162, 164, 166, 167, 168, 170),
    "Tm": (169,),
    "Yb": (168, 170, 171, 172, 173, 174, 176),
    "Lu": (175, 176),
    "Ir": (191, 193),
    "Pt": (190, 192, 194, 195, 196, 198),
    "Bi": (209,),
}
_CHANNEL = re.compile(r"([A-Z][a-z]?)\)?_?(\d{2,3})(?!\d)|(?<!\d)(\d{2,3})([A-Z][a-z]?)(?![a-z])")


def metal_mass(channel: str) -> tuple[str, int] | None:
    """Give metal and mass of a channel such as ``Yb176Di``, ``(Pd102)Di`` or ``176Yb``; None where it names none."""
    match = _CHANNEL.search(channel)
    if match is None:
        return None
    return (match[1], int(match[2])) if match[1] else (match[4], int(match[3]))


def receives(stain: str, channel: str) -> bool:
    """Tell whether a metal is expected to spill into a channel (Chevrier et al. 2018).

    Neighbouring masses (abundance sensitivity), isotopes of the same metal (impurity), mass + 16 (oxides).
    Source: doi:10.1016/j.cels.2018.02.010.
    """
    first, second = metal_mass(stain), metal_mass(channel)
    if first is None or second is None or stain == channel:
        return False
    metal, mass = first
    return abs(second[1] - mass) == 1 or second[1] == mass + 16 or second[1] in ISOTOPES.get(metal, ())
