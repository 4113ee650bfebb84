"""Marker names: cleaned, compared, and sorted into roles."""

from __future__ import annotations

import re
from functools import lru_cache

_METAL = (
    r"(?:Y|Zr|Nb|Mo|Ru|Rh|Pd|Ag|Cd|In|Sn|Sb|Te|I|Xe|Cs|Ba|La|Ce|Pr|Nd|Sm|Eu|Gd|Tb|Dy|Ho|Er|Tm|Yb|Lu|Hf|Ta|W|Re|Os|Ir|Pt|Au"
    r"|Hg|Tl|Pb|Bi)"
)
#: 166Er, Er166, Er166Di, (Er166)Dd, 110:114 (a sum of channels); a CD number is no cadmium: three digits follow Cd.
_ISOTOPE = rf"(?:\d{{2,3}}{_METAL}|(?!Cd\d{{1,2}}(?!\d)){_METAL}\d{{2,3}})"
_TAG = re.compile(rf"^\(?(?:{_ISOTOPE})\)?(?:D[id])?$")
_PREFIX = re.compile(rf"^\(?{_ISOTOPE}\)?(?:D[id])?[_\s-]+")
_SUFFIX = re.compile(rf"(?:[_\s]+\(?{_ISOTOPE}\)?(?:D[id])?|\((?:{_ISOTOPE}|[\d:]+)\)D[id])$")
_SYNONYM = re.compile(r"^(?P<name>\S.*?)\s*[(\[/](?P<other>[^()\[\]]+)[)\]]?$")
#: Fluorochromes that flow panels append to the marker ("CD4 PE-Cy7").
_DYE_NAME = (
    r"(?:FITC|PE|APC|PerCP|BV\d{3}|BUV\d{3}|BB\d{3}|AF\d{3}|A\d{3}|Alexa ?Fluor ?\d{3}|Pacific ?(?:Blue|Orange)|AmCyan"
    r"|eFluor ?\d{3}|eF\d{3}|Qdot ?\d{3}|V\d{3}|Super ?Bright ?\d{3}|cFluor ?\w+)"
    r"(?:[\s_/-]*(?:Cy[\s.]?\d(?:[.-]\d)?|eF(?:luor)? ?\d+|Fire ?\d+|Dazzle ?\d+|CF ?\d+|Texas ?Red|H7|R\d+|Vio ?\d+))?"
    r"(?:-[AHW])?"
)
_DYE = re.compile(rf"[\s_:-]+{_DYE_NAME}$", re.IGNORECASE)
_BARE_DYE = re.compile(rf"{_DYE_NAME}$", re.IGNORECASE)

_TIME = re.compile(r"time|hdrt", re.IGNORECASE)
_GAUSSIAN = {"center", "offset", "width", "residual", "eventlength", "celllength", "amplitude"}
_SCATTER = re.compile(r"^(?:FSC|SSC|FS|SS|BSC)(?:[\s\-_.]|$)|^\w*-?SSC-[AHW]$|scatter", re.IGNORECASE)
_DNA = re.compile(r"^(?:dna\d?|ir|iridium|intercalator|cellid|cellidintercalator)$")
_VIABILITY = re.compile(
    r"^(?:live|dead|ld|lived|livedead|deadlive|viab.*|via|viability|cisplatin|cispt\d?|cisplat\w*|pt|7aad|dapi|pi|zombie\w*"
    r"|aqua|vivid\w*|fvd\w*|fvs\w*|lived?ead\w*|rh\d*|rhodium)$"
)
_BEAD = re.compile(r"^(?:eq)?(?:norm\w*)?beads?\d*$|^eq\d?$|^beads?[a-z]{2}\d{3}$")
_BARCODE = re.compile(r"^(?:cd45|b2m|b2mg|hla)?(?:bc|barcode|bcd)\d*[a-z]?$|^(?:pd)\d{3}bc\d*$|^bc\d+\w*$")
_BACKGROUND = re.compile(
    r"^(?:bckg|bkg|background|xenon|xe\d*|empty|blank|none|na|unused|unlabell?ed|beaddist|filenum|filenumber"
    r"|sampleid|vol\d|hdr\w*)$"
)

#: Markers that change with activation, treatment or the cell cycle, by comparison key.
_STATE_KEYS = """
    ki67 ctla4 cd152 icos cd278 pd1 cd279 pdl1 cd274 pdl2 cd273 lag3 cd223 tim3 cd366 tigit cd69 cd137 41bb ox40 cd134
    cd40l cd154 gitr cd357 granzymea gzma granzymeb gzmb grzb granzymek gzmk perforin prf1 ifng ifngamma il2 il4 il5
    il6 il8 il10 il13 il17 il17a il21 il22 tnf tnfa tnfalpha mip1a mip1b gmcsf tgfb tgfb1 lap garp cd107a lamp1 tox tcf1
    tcf7 bcl2 bclxl mcl1 cleavedcaspase3 ccasp3 caspase3 cyclinb1 ccnb1 idu brdu edu cd71 vista 2b4 cd244 cd95 fas fasl
    glut1 cd98 nur77 stat1 stat3 stat4 stat5 stat6 s6 erk erk12 p38 creb nfkb ikb ikba akt mapkapk2 mk2 plcg1 plcg2
    zap70 btk syk lat slp76 shp1 shp2 src lck mtor 4ebp1 rb h2ax hh3 histoneh3
"""
_STATE = frozenset(_STATE_KEYS.split())
_PHOSPHO = re.compile(r"^(?:p|phospho|phos)[-_ ]?(?=[A-Z]|p38|h2|4E|\d)", re.ASCII)
_NOT_PHOSPHO = re.compile(
    r"^p(?:d\d|dl\d|dc|dcam|ecam\d*|erforin|rf\d|rame|selectin|lgf\w*|sgl\d*|ax5|lzf|dgfr\w*|rdm1|ti|tk7)$"
)

#: Synonyms of the usual PBMC markers: one name -> the others. Compared without case and punctuation.
ALIASES: dict[str, tuple[str, ...]] = {
    "CD3": ("CD3e", "CD3epsilon"),
    "CD8": ("CD8a", "CD8alpha"),
    "CD11a": ("ITGAL", "LFA-1"),
    "CD11b": ("ITGAM", "Mac-1"),
    "CD11c": ("ITGAX",),
    "CD14": ("CD-14",),
    "CD16": ("FCGR3A", "FcgRIII"),
    "CD20": ("MS4A1",),
    "CD21": ("CR2",),
    "CD22": ("Siglec-2",),
    "CD24": ("HSA",),
    "CD25": ("IL2RA", "IL-2Ra", "IL-2R alpha", "IL2Ralpha"),
    "CD27": ("TNFRSF7",),
    "CD39": ("ENTPD1",),
    "CD56": ("NCAM", "NCAM1"),
    "CD57": ("B3GAT1", "HNK-1"),
    "CD62L": ("SELL", "L-selectin"),
    "CD66b": ("CEACAM8",),
    "CD69": ("CLEC2C",),
    "CD73": ("NT5E",),
    "CD94": ("KLRD1",),
    "CD95": ("Fas",),
    "CD103": ("ITGAE",),
    "CD122": ("IL2RB", "IL-2Rb", "IL2Rbeta"),
    "CD123": ("IL3RA", "IL-3Ra"),
    "CD127": ("IL7R", "IL7Ra", "IL-7Ra", "IL-7R alpha"),
    "CD132": ("IL2RG", "common gamma chain"),
    "CD134": ("OX40", "TNFRSF4"),
    "CD137": ("4-1BB", "41BB", "TNFRSF9"),
    "CD138": ("SDC1", "Syndecan-1"),
    "CD141": ("BDCA-3", "Thrombomodulin"),
    "CD152": ("CTLA-4", "CTLA4"),
    "CD159a": ("NKG2A", "KLRC1"),
    "CD161": ("KLRB1",),
    "CD183": ("CXCR3",),
    "CD184": ("CXCR4",),
    "CD185": ("CXCR5",),
    "CD194": ("CCR4",),
    "CD195": ("CCR5",),
    "CD196": ("CCR6",),
    "CD197": ("CCR7",),
    "CD223": ("LAG-3", "LAG3"),
    "CD269": ("BCMA", "TNFRSF17"),
    "CD268": ("BAFF-R", "BAFFR", "TNFRSF13C"),
    "CD272": ("BTLA",),
    "CD273": ("PD-L2",),
    "CD274": ("PD-L1", "B7-H1"),
    "CD278": ("ICOS",),
    "CD279": ("PD-1", "PDCD1"),
    "CD294": ("CRTH2",),
    "CD303": ("BDCA-2",),
    "CD314": ("NKG2D", "KLRK1"),
    "CD335": ("NKp46", "NCR1"),
    "CD357": ("GITR", "TNFRSF18"),
    "CD366": ("TIM-3", "HAVCR2"),
    "FOXP3": ("FoxP3", "Foxp3"),
    "GARP": ("LRRC32",),
    "Helios": ("IKZF2",),
    "HLA-DR": ("HLADR", "HLA.DR", "MHC-II DR"),
    "Ki-67": ("Ki67", "MKI67"),
    "TCRab": ("TCR-ab", "TCRalphabeta", "TCR alpha/beta", "abTCR"),
    "TCRgd": ("TCR-gd", "TCRgammadelta", "TCR gamma/delta", "gdTCR", "TCRyd", "TCRγδ"),
    "TCR Va7.2": ("Va7.2", "TRAV1-2"),
    "TCR Vd2": ("Vd2",),
    "Tbet": ("T-bet", "TBX21"),
    "EOMES": ("Eomesodermin",),
    "Granzyme B": ("GZMB", "GrzB", "GranzymeB"),
    "Perforin": ("PRF1",),
    "IFNg": ("IFN-g", "IFN-gamma", "IFNgamma", "IFNγ"),
    "TNFa": ("TNF", "TNF-a", "TNF-alpha"),
    "pSTAT1": ("phospho-STAT1", "pStat-1"),
    "pSTAT3": ("phospho-STAT3", "pStat-3"),
    "pSTAT5": ("phospho-STAT5", "pStat-5"),
    "pS6": ("phospho-S6", "pS6RP"),
    "pERK": ("pERK1/2", "pERK12", "phospho-ERK"),
}


@lru_cache(maxsize=10_000)
def key(name: str) -> str:
    """Comparison key of a name: letters and digits only, lower case, Greek letters spelled a b g d."""
    latin = name.translate(str.maketrans("αβγδεκ", "abgdek"))
    return re.sub(r"[^a-z0-9]", "", latin.lower())


def clean_marker(channel: str, marker: str) -> str:
    """The marker in ``$PnS`` (else in ``$PnN``) without metal tag, dye and synonym; "" for an unlabelled channel.

    ``166Er_CD25`` -> CD25, ``CD3(110:114)Dd`` -> CD3, ``CD127 (IL-7Ra)`` -> CD127, ``Er166Di`` -> "".
    """
    marker, channel = marker.strip(), channel.strip()
    if name := _strip(marker):
        return name
    # Without $PnS the channel's own name tells a marker only where it has a metal tag besides, or is Time and its like.
    name = _strip(channel)
    return name if name != channel or _technical(name) else ""


def _technical(name: str) -> bool:
    return bool(_TIME.fullmatch(key(name)) or key(name) in _GAUSSIAN or _SCATTER.match(name) or _DNA.match(key(name)))


def _strip(text: str) -> str:
    if _TAG.match(text) or _BARE_DYE.match(text):
        return ""
    name = _SUFFIX.sub("", _PREFIX.sub("", text)).strip(" _")
    if _TAG.match(name):
        return ""
    if match := _SYNONYM.match(name):
        # "NK1/1" and "l/d" are names; "CD127 (IL-7Ra)" and "CD25/IL2RA" are a name and its synonym.
        bracketed = "(" in name or "[" in name
        if bracketed or (re.match(r"CD\d", name) and len(key(match["other"])) > 2):
            name = match["name"].strip()
    return _DYE.sub("", name).strip(" _") or name


def role_of(channel: str, marker: str, mass: bool = True) -> str:
    """Propose the role of a channel.

    Parameters
    ----------
    channel
        ``$PnN``.
    marker
        The cleaned marker, "" for an unlabelled channel.
    mass
        Whether the file is of a mass cytometer (``Width`` is a Gaussian parameter there and a scatter one in flow).

    Returns
    -------
    One of `treset.study.model.ROLES`.
    """
    name, code, metal = key(marker or channel), key(channel), _isotope(channel)
    if _TIME.fullmatch(name) or _TIME.fullmatch(code):
        return "time"
    if _BACKGROUND.match(name):
        return "ignore"
    if name in _GAUSSIAN or code in _GAUSSIAN:
        return "gaussian" if mass else "ignore"
    if _SCATTER.match(marker or channel):
        return "scatter"
    if _BEAD.match(name):
        return "bead"
    if _DNA.match(name) or metal in ("Ir191", "Ir193"):
        return "dna"
    if _VIABILITY.match(name):
        return "viability"
    if _BARCODE.match(name):
        return "barcode"
    if not marker:
        return {"Ce140": "bead", "Pt195": "viability", "Pt198": "viability"}.get(metal, "ignore")
    return "state" if _is_state(marker) else "lineage"


def _isotope(channel: str) -> str:
    match = re.search(rf"({_METAL})(\d{{2,3}})(?!\d)|(?<!\d)(\d{{2,3}})({_METAL})", channel)
    return "" if not match else f"{match[1]}{match[2]}" if match[1] else f"{match[4]}{match[3]}"


def _is_state(marker: str) -> bool:
    name = key(marker)
    return name in _STATE or bool(_PHOSPHO.match(marker) and not _NOT_PHOSPHO.match(name))
