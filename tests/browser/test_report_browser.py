"""The report in a real browser, headless: no console error, the map is drawn, the fallback unpacks the same bytes."""

from __future__ import annotations

import base64
import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "unit" / "report"))

import fake_results  # noqa: E402

from treset.report import build_report  # noqa: E402

BROWSER = os.environ.get("TRESET_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine (or set TRESET_CHROMIUM)")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
    "--dump-dom",
]


def dom(page: Path, profile: Path) -> tuple[str, list[str]]:
    """Give the page after its scripts have run, and what it wrote to the console."""
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("build", [fake_results.il2, fake_results.bcrxl, fake_results.cart])
def test_map_is_drawn_without_a_console_message(tmp_path: Path, build) -> None:
    study = build(tmp_path, cells=700)
    page, console = dom(build_report(study, tmp_path, tmp_path / "report.html"), tmp_path / "profile")
    assert console == []
    assert 'data-ready="yes"' in page
    assert re.search(r"700 cells shown", page)


def test_hostile_names_run_nothing(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=300, hostile=True)
    page, console = dom(build_report(study, tmp_path, tmp_path / "report.html"), tmp_path / "profile")
    assert console == []
    assert 'data-ready="yes"' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_fallback_unpacks_what_gzip_packed(tmp_path: Path) -> None:
    inflate = (HERE.parents[1] / "src/treset/report/inflate.js").read_text(encoding="utf-8")
    samples = [b"", b"a", b"\t".join(b"%d" % (i * i) for i in range(4000)), bytes(range(256)) * 40, os.urandom(70_000)]
    checks = []
    for data in samples:
        for level in (0, 1, 9):
            packed = base64.b64encode(gzip.compress(data, level, mtime=0)).decode()
            plain = base64.b64encode(data).decode()
            checks.append(f'["{packed}","{plain}"]')
    script = f"""{inflate}
    delete window.DecompressionStream;
    (async () => {{
      let good = 0;
      for (const [packed, plain] of [{",".join(checks)}]) {{
        const bytes = await unpack(packed), want = Uint8Array.from(atob(plain), c => c.charCodeAt(0));
        if (bytes.length === want.length && bytes.every((b, i) => b === want[i])) good++;
      }}
      document.body.textContent = "good " + good;
    }})();"""
    (tmp_path / "page.html").write_text(f"<!DOCTYPE html><body></body><script>{script}</script>", encoding="utf-8")
    page, console = dom(tmp_path / "page.html", tmp_path / "profile")
    assert console == []
    assert f"good {len(checks)}" in page
