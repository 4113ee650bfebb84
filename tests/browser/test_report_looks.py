"""The report as a reader sees it: nothing clipped, every control named, contrast, downloads, A4 pages, screenshots."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unit" / "report")]

import fake_results  # noqa: E402
from devtools import BROWSER, Browser  # noqa: E402

from treset.report import build_report  # noqa: E402

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine (or set TRESET_CHROMIUM)")

#: Kept as artefacts of CI, and looked at.
SHOTS = Path(os.environ.get("TRESET_SCREENSHOTS") or HERE.parents[1] / "results" / "screenshots")
READY = "document.querySelector('#cellmap')?.dataset.ready === 'yes'"
PAGES = {
    "il2": (fake_results.il2, {"arms": ("IL-2", "placebo")}),
    "blinded": (fake_results.il2, {"arms": ("IL-2", "placebo"), "blinded": True}),
    "bcrxl": (fake_results.bcrxl, {}),
    "cart": (fake_results.cart, {}),
}

CLIPPED = """[...document.querySelectorAll("svg")].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(t => {
    const r = t.getBoundingClientRect();
    return r.width && (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 1
      || r.bottom > box.bottom + 1);
  }).map(t => svg.getAttribute("aria-label") + ": " + t.textContent);
})"""
OVERFLOWING = """[...document.querySelectorAll("main *")].filter(e => !e.ownerSVGElement && e.clientWidth
  && e.scrollWidth > e.clientWidth + 1
  && getComputedStyle(e).overflowX === "visible" && getComputedStyle(e).display !== "inline")
  .map(e => e.tagName + "." + e.className + ": " + e.textContent.slice(0, 60))"""
NAMELESS = """[...document.querySelectorAll("button, select, a, input, canvas, summary, svg[role=img]")].filter(e => {
  const own = e.getAttribute("aria-label") || e.textContent.trim() || e.title;
  return !(own || e.closest("label")?.textContent.trim());
}).map(e => e.outerHTML.slice(0, 80))"""
#: WCAG 2.2, 1.4.3: 4.5 to 1, large text 3 to 1.
FAINT = """(() => {
  const parse = c => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.getClientRects().length) continue;
    if (["TITLE", "DESC", "title", "desc", "SCRIPT"].includes(e.tagName)) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize), svg = e.ownerSVGElement;
    const text = parse(svg ? style.fill : style.color), [a, b] = [light(text), light(behind(e))].sort((p, q) => q - p);
    const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) found.add(
      `${e.tagName}.${e.className.baseVal ?? e.className} ${text}: ${e.textContent.slice(0, 30)}`);
  }
  return [...found];
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, (build, more) in PAGES.items():
        folder = tmp_path_factory.mktemp(name)
        made[name] = build_report(build(folder, cells=800, **more), folder, folder / "report.html")
    return made


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_clipped_nameless_or_faint_and_each_section_is_photographed(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.console.clear()
    browser.open(pages[name], READY)
    browser.photograph(SHOTS / f"{name}-first-screen.png")
    sections = browser.value("[...document.querySelectorAll('section[id]')].map(s => s.id)")
    assert {"cells", "clusters", "populations", "quality", "patients", "methods"} <= set(sections)
    browser.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    for section in sections:
        shot = browser.photograph(SHOTS / f"{name}-{section}.png", f"#{section}")
        assert shot.stat().st_size > 3000
    assert browser.value(CLIPPED) == []
    assert browser.value(OVERFLOWING) == []
    assert browser.value(NAMELESS) == []
    assert browser.value(FAINT) == []
    assert browser.value("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    assert browser.console == []


@pytest.mark.parametrize("name", ["il2", "cart", "bcrxl"])
def test_the_first_screen_needs_no_scrolling(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], READY)
    bottom = "Math.max(...[...document.querySelectorAll({!r})].map(e => e.getBoundingClientRect().bottom))"
    assert browser.value(bottom.format(".card")) < 400
    assert browser.value(bottom.format(".lede svg")) <= 768, "a figure of the first screen is cut"


def test_downloads_hold_what_is_shown(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["il2"], READY)
    browser.value(
        "window.kept = []; URL.createObjectURL = blob => { kept.push(blob.text()); return 'blob:x'; };"
        "HTMLAnchorElement.prototype.click = function () { kept.name = this.download; }; 0"
    )
    figures = browser.value("document.querySelectorAll('figure').length")
    assert figures == browser.value("document.querySelectorAll('figure button.svg').length") > 4
    browser.value("document.querySelectorAll('figure button.svg').forEach(b => b.click())")
    drawings = browser.value("Promise.all(kept)")
    assert len(drawings) == figures
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.tag.endswith("svg") and float(root.attrib["width"]) > 100
    press = "a.dispatchEvent(new Event('click', {cancelable: true}))"
    browser.value(f"kept.length = 0; for (const a of document.querySelectorAll('a.tsv')) {press}")
    links = browser.value("document.querySelectorAll('a.tsv').length")
    browser.wait(f"kept.length === {links}")
    tables = browser.value("Promise.all(kept)")
    assert all("\t" in table.splitlines()[0] or table.splitlines()[0] for table in tables)
    waist = pd.read_parquet(pages["il2"].parent / "profiles.parquet")
    treg = waist[(waist["population"] == "Treg") & (waist["measure"] == "percent_of_parent")]
    shown = next(t for t in tables if t.startswith("sample\t") and "percent_of_parent" in t and "Treg" in t)
    values = {float(line.split("\t")[-2]) for line in shown.splitlines()[1:]}
    assert values <= set(treg["value"].dropna()) and len(values) > 30


def test_the_map_answers_to_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["il2"], READY)
    picture = "document.querySelector('#cellmap canvas').toDataURL()"
    before = browser.value(f"document.querySelector('#cellmap canvas').focus(); {picture}")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="+", text="+")
    assert browser.value("document.activeElement.tagName") == "CANVAS"
    assert browser.value(picture) != before
    named = browser.value("document.querySelector('#cellmap canvas').getAttribute('aria-label')")
    assert named.startswith("Cell map coloured by population") and "800 cells shown" in named


def test_a_marker_colours_the_map_and_a_visit_filters_it(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["il2"], READY)
    choose = "const s = document.querySelector('#cellmap .{}'); s.value = '{}'; s.dispatchEvent(new Event('change')); "
    state = "document.querySelector('#cellmap .state').textContent"
    assert browser.value("{" + choose.format("colour", "m5") + "}" + state) == "800 cells shown"
    visits = browser.value(
        "[...document.querySelectorAll('#cellmap .show optgroup[label=visit] option')].map(o => o.value)"
    )
    counts = [int(browser.value("{" + choose.format("show", v) + "}" + state).split()[0]) for v in visits]
    assert len(counts) == 3 and sum(counts) == 800


def test_prints_to_clean_a4_pages(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["il2"], READY)
    pdf = browser.print(SHOTS / "il2.pdf").read_bytes()
    boxes = re.findall(rb"/MediaBox\s*\[([\d.\s]+)\]", pdf)
    assert boxes and all([round(float(v)) for v in box.split()] == [0, 0, 595, 842] for box in boxes)
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) <= 16
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.call("Emulation.setDeviceMetricsOverride", width=711, height=1000, deviceScaleFactor=1, mobile=False)
    try:
        assert browser.value("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert browser.value("document.documentElement.scrollWidth <= innerWidth + 1"), "wider than the paper"
        assert browser.value(CLIPPED) == []
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
        browser.call("Emulation.setDeviceMetricsOverride", width=1366, height=768, deviceScaleFactor=1, mobile=False)


def test_a_patients_page_opens_by_link_click_and_key_and_prints_alone(browser: Browser, pages: dict[str, Path]) -> None:
    shown = "[...document.querySelectorAll('details.patient[open]')].map(d => d.id)"
    browser.open(pages["il2"], READY)
    assert browser.value(shown) == []
    browser.value("document.querySelector('td a[href=\"#patient-P03\"]').click()")
    browser.wait(f"({shown}).length === 1")
    assert browser.value(shown) == ["patient-P03"]
    assert browser.value("document.activeElement.closest('details').id") == "patient-P03"
    top = "document.querySelector('#patient-P03').getBoundingClientRect().top"
    browser.wait(f"{top} >= 0 && {top} < innerHeight / 2")
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13
        )
    browser.wait(f"({shown}).length === 0")
    browser.value("window.print = () => { window.printed = document.body.className; }; 0")
    browser.value("document.querySelector('td a[href=\"#patient-P09\"]').click()")
    browser.wait(f"({shown}).length === 1")
    browser.photograph(SHOTS / "il2-patient.png", "#patient-P09")
    browser.value("document.querySelector('#patient-P09 button.one').click()")
    assert browser.value("window.printed") == "one"
    pdf = browser.print(SHOTS / "il2-patient.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) == 1, "a patient's page is one sheet"
    browser.value("window.dispatchEvent(new Event('afterprint')); 0")
    assert browser.value("document.body.className") == ""
    assert browser.console == []


def test_a_link_that_was_sent_opens_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    browser.call("Page.navigate", url="about:blank")
    browser.call("Page.navigate", url=pages["il2"].as_uri() + "#patient-P05")
    browser.wait("document.readyState === 'complete' && document.querySelector('#patient-P05')?.open")
