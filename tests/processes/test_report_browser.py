"""report.html in a real headless browser (Debian's chromium); a missing browser is a failure, never a skip."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from parties.report.page import write_report
from tests.support.report_sample import AUDIT, ENCRYPTED, LEAKAGE, Document, luminance, page, write_results

pytestmark = pytest.mark.browser

MEASURE = """
addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, style = frame.contentWindow.getComputedStyle(page.body);
    const out = [...page.body.querySelectorAll("*")].filter(e => !e.closest(".scroll") && !e.closest(".cards thead")
      && e.getBoundingClientRect().right > frame.clientWidth + 0.5);
    return {
      wider: page.documentElement.scrollWidth - frame.clientWidth, out: out.map(e => e.outerHTML.slice(0, 80)),
      background: style.backgroundColor, ink: style.color, title: page.querySelector("h1")?.textContent,
      heights: [...page.querySelectorAll("figure > svg")].map(e => e.getBoundingClientRect().height),
      line: [...page.querySelectorAll("path.line")].map(e => frame.contentWindow.getComputedStyle(e).stroke),
    };
  });
  document.getElementById("seen").textContent = JSON.stringify(seen);
});
"""
WIDTHS = (320, 390, 1280)
LIGHT, DARK = "1", "0"


def browse(path: Path, profile: Path, scheme: str = LIGHT) -> tuple[str, list[str]]:
    """Load a page in headless chromium; returns its document after load and the lines of its console."""
    chromium = shutil.which("chromium")
    assert chromium, "no chromium: apt-get install chromium"
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        f"--user-data-dir={profile}",
        f"--blink-settings=preferredColorScheme={scheme}",
        "--dump-dom",
        path.as_uri(),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, log = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, log
    return out, [line for line in log.splitlines() if "CONSOLE" in line]


def measured(text: str, folder: Path, scheme: str = LIGHT) -> list[dict[str, Any]]:
    """What a browser shows of a page in frames of `WIDTHS` pixels, where a script outside of the page can look."""
    frames = "".join(f'<iframe width="{w}" height="800" srcdoc="{html.escape(text)}"></iframe>' for w in WIDTHS)
    harness = folder / f"harness-{scheme}.html"
    harness.write_text(
        '<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<style>iframe{{border:0}}</style><pre id="seen"></pre><script>{MEASURE}</script>{frames}',
        encoding="utf-8",
    )
    dom, console = browse(harness, folder / f"profile-{scheme}", scheme)
    assert console == []
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
    assert found
    return list(json.loads(html.unescape(found[1])))


def test_a_browser_shows_it_whole_and_complains_of_nothing(tmp_path: Path) -> None:
    write_results(tmp_path, 60)
    path = write_report(tmp_path, ENCRYPTED, AUDIT, LEAKAGE)
    dom, console = browse(path, tmp_path / "profile")
    assert console == []
    loaded, written = Document(dom), Document(path.read_text())
    assert loaded.text == written.text
    assert [tag for tag, _ in loaded.elements] == [tag for tag, _ in written.elements]


def test_the_page_itself_forbids_loading_and_scripts(tmp_path: Path) -> None:
    """The control of the test above (a complaint is seen), and of the content security policy."""
    extra = '<img src="http://127.0.0.1:9/x.png"><script>document.title = "ran"</script></body>'
    (tmp_path / "bad.html").write_text(page().replace("</body>", extra), encoding="utf-8")
    dom, console = browse(tmp_path / "bad.html", tmp_path / "profile")
    assert "<title>demo: secure-gal run report</title>" in dom
    assert len([line for line in console if "Content Security Policy" in line]) == 2


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_it_follows_the_colour_scheme_and_fits_a_phone(tmp_path: Path, scheme: str) -> None:
    for frame in measured(page(ENCRYPTED), tmp_path, scheme):
        assert frame["title"] == "demo" and len(frame["heights"]) == 7 and min(frame["heights"]) > 100
        assert frame["wider"] <= 0 and frame["out"] == []
        background, ink, line = (
            luminance("#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", colour)[:3]))
            for colour in (frame["background"], frame["ink"], frame["line"][0])
        )
        assert background > 0.8 > 0.1 > ink if scheme == LIGHT else background < 0.05 < 0.6 < ink
        assert line < 0.3 if scheme == LIGHT else line > 0.3


def test_something_too_wide_is_noticed(tmp_path: Path) -> None:
    wide = page().replace("<main>", '<main><svg class="wide" width="700" height="9" aria-hidden="true"></svg>')
    phone, _, desk = measured(wide, tmp_path)
    assert phone["wider"] > 300 and "wide" in phone["out"][0]
    assert desk["wider"] <= 0 and desk["out"] == []
