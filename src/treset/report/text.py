"""Numbers and names as a reader sees them."""

from __future__ import annotations

import math

import pandas as pd

MINUS = "\u2212"
THIN = "\u202f"
DASH = "\u2013"

#: Units of the values of each modality, as the axis of a median says them.
UNITS = {"mass_cytometry": "arcsinh", "flow_cytometry": "arcsinh", "rna": "log-normalised"}


def missing(value: object) -> bool:
    """Tell whether a cell of a table is blank (None, NaN, NA or "")."""
    return (
        value is None
        or (isinstance(value, str) and value == "")
        or bool(pd.api.types.is_scalar(value) and pd.isna(value))
    )


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with ``digits`` significant digits, a true minus sign and thin spaces between thousands.

    A missing value is an en dash; an infinite one is written as infinity.
    """
    if missing(value):
        return DASH
    value = float(value)  # type: ignore[arg-type]
    sign = MINUS if value < 0 else ""
    size = abs(value)
    if math.isinf(size):
        return f"{sign}\u221e"
    if size == 0:
        return "0"
    # rounding may carry into the next decade (999.7 -> 1 000): ask after rounding
    if float(f"{size:.{digits - 1}e}") >= 10**digits:
        return sign + f"{size:,.0f}".replace(",", THIN)
    exponent = math.floor(math.log10(size))
    if exponent < -4:
        return sign + f"{size:.{digits - 1}e}".replace("-", MINUS)
    exponent = math.floor(math.log10(float(f"{size:.{digits - 1}e}")))
    return sign + f"{size:.{max(0, digits - 1 - exponent)}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Write a change: like `number`, with a plus sign when positive."""
    text = number(value, digits)
    return f"+{text}" if not missing(value) and float(value) > 0 else text  # type: ignore[arg-type]


def count(value: float | None) -> str:
    """Write a whole number with thin spaces between thousands."""
    return DASH if missing(value) else f"{round(float(value)):,}".replace(",", THIN).replace("-", MINUS)  # type: ignore[arg-type]


def tick(value: float, plus: bool = False) -> str:
    """Write the value of an axis: as short as it is exact."""
    shown = f"{abs(value):.10g}"
    sign = MINUS if value < 0 else ("+" if plus and value > 0 else "")
    return sign + (count(abs(value)) if abs(value) >= 10_000 else shown)


def p_value(value: float | None) -> str:
    """Write a p- or q-value: three digits, ``<0.001`` under that."""
    if missing(value):
        return DASH
    value = float(value)  # type: ignore[arg-type]
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def plural(n: int, word: str, words: str | None = None) -> str:
    """Write a count with its noun: ``1 sample``, ``2 samples``."""
    return f"{count(n)} {word if n == 1 else words or word + 's'}"


def cut(text: str, pixels: float, size: float = 12) -> str:
    """Shorten a text to about ``pixels`` at a font ``size`` (px), with an ellipsis."""
    room = max(3, int(pixels / (size * 0.56)))
    return text if len(text) <= room else text[: room - 1] + "\u2026"


def change(value: float | None, scale: str, digits: int = 3) -> str:
    """Write an effect on its scale: a fold for ``log_ratio`` (natural log), a percentage, or a signed difference."""
    if missing(value):
        return DASH
    if math.isinf(float(value)):  # type: ignore[arg-type]
        return "no limit"
    if scale in ("nM", "days"):
        return f"{number(value, digits)}{THIN}{scale}"
    if scale == "log10_ratio":
        return f"\u00d7{number(10 ** min(float(value), 300.0), digits)}"  # type: ignore[arg-type]
    if scale == "log_ratio":
        return f"\u00d7{number(math.exp(min(float(value), 700.0)), digits)}"  # type: ignore[arg-type]
    if scale == "percent_change":
        return f"{signed(value, digits)}{THIN}%"
    if scale == "percent":
        return f"{number(value, digits)}{THIN}%"
    return signed(value, digits)


def interval(lower: float | None, upper: float | None, scale: str, digits: int = 3) -> str:
    """Write a confidence interval on the scale of its effect."""
    if missing(lower) and missing(upper):
        return "no interval"
    return f"{change(lower, scale, digits)} to {change(upper, scale, digits)}"


def scale_name(scale: str) -> str:
    """Name an effect's scale for a column or an axis."""
    known = {
        "log_ratio": "fold change",
        "percent_change": "change, %",
        "difference": "difference",
        "log2_ratio": "log2 fold change",
        "percent": "percent",
        "log10_ratio": "ratio",
    }
    return known.get(scale, scale.replace("_", " "))


def measure(name: str, population: str, parent: str = "", marker: str = "", modality: str = "mass_cytometry") -> str:
    """Say what a profile row measures: ``Treg, % of CD4 T``, ``CD25 on Treg, median (arcsinh)``."""
    if name == "percent_of_parent":
        return f"{population}, % of {parent or 'parent'}"
    if name == "percent_of_total":
        return f"{population}, % of cells"
    if name == "per_ul":
        return f"{population}, cells per \u00b5L"
    if name == "median":
        return f"{marker} on {population}, median ({UNITS.get(modality, 'transformed')})"
    if name == "percent_positive":
        return f"{marker}+ of {population}, %"
    if name == "signature":
        return f"{marker} signature in {population}"
    if name == "ratio":
        return f"{population} / {marker} ratio"
    if name == "count":
        return f"{population}, cells counted"
    if name.startswith("patients"):
        return name
    return " ".join(part for part in (population, name.replace("_", " "), marker) if part)
