"""The page of costs in a browser: it loads nothing, and everything on it can be seen.

With THINKTWICE_PICTURES=1 the pictures of the documentation are taken anew.
"""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tests.browser import chromium
from tests.e2e.traffic import month
from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.rows import RequestRow, SpendRow
from thinktwice.store.tree import TRILLION, Spend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST = 200_000  # bytes of a picture
# Where each text of the plots and each figure of the cards is, what does not fit into its place,
# and how wide the page is.
MEASURE = """<script>
const boxes = [...document.querySelectorAll("svg text, .cards b")].map((each) => {
  const {left, right, top, bottom} = each.getBoundingClientRect();
  return {text: each.textContent, left, right, top, bottom, hidden: right === left};
});
const wide = document.documentElement.scrollWidth;
const spilt = [...document.querySelectorAll(".cards b, h2, .legend, .legend span, .scroll")].filter(
  (each) => each.scrollWidth > each.clientWidth).map((each) => each.className || each.textContent);
document.body.append(JSON.stringify({boxes, wide, spilt, screen: innerWidth, fetched:
  performance.getEntriesByType("resource").length}));
</script>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Opens a page on a screen so large; gives what the browser prints."""
    return chromium(tmp_path_factory.mktemp("browser"), patience=5000)


def command(*arguments):
    """What `thinktwice` prints."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-m", "thinktwice.cli", *map(str, arguments)],
        env={**os.environ, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages of a month, of two requests, of one, and of much money and long names."""
    made = tmp_path_factory.mktemp("pages")
    much(made / "much.db")
    for name, requests in (("month", 3000), ("few", 2), ("one", 1), ("much", 0)):
        if requests:
            month(made / f"{name}.db", requests)
        command("costs", "--store", made / f"{name}.db", "--html", made / f"{name}.html")
    return made


def much(path):
    """A store of dear requests, whose strategies and models have names of 200 characters."""
    names = [f"{'M' * 190}-{at:04d}" for at in range(8)]
    rows = [
        RequestRow(
            id=at,
            run=f"{at:016x}",
            trace=f"{at:032x}",
            strategy=name,
            started=at,
            took=10**6,
            requested=8,
            launched=3,
            used=3,
            cut=0,
            stopped_by=name,
            agreement=1 / at,
            cost=12345 * TRILLION,
            unpriced=0,
            sampled=12345 * TRILLION,
            wasted=123 * TRILLION,
        )
        for at, name in enumerate(names, 1)
    ]
    spend = [
        SpendRow(row.id, row.strategy, "sample", Spend(3, 10**9, 10**9, 12345 * TRILLION, 1), 0)
        for row in rows
    ]
    file = StoreFile(path, 2**20)
    file.write(Batch([], [], spend, rows))
    file.close()


def measured(browser, page, width):
    """Its texts as they lie on a screen so wide."""
    probe = page.with_name(f"{page.stem}-probe.html")
    probe.write_text(page.read_text().replace("</body>", f"{MEASURE}</body>"))
    dom = browser(probe.as_uri(), "--dump-dom", size=f"{width},1000")
    return json.loads(re.search(r'\{"boxes".*\}', dom)[0])


def overlap(one, other):
    """Whether two boxes share more than an edge."""
    apart = one["right"] <= other["left"] or other["right"] <= one["left"]
    return not (apart or one["bottom"] <= other["top"] or other["bottom"] <= one["top"])


def test_everything_is_there(browser, folder):
    """Three plots with a description, an axis title and tooltips each; and tables."""
    dom = browser((folder / "month.html").as_uri(), "--dump-dom")
    plots = re.findall(r"<svg.*?</svg>", dom, re.DOTALL)
    assert len(plots) == 3
    for plot, axis in zip(plots, ("day (UTC)", "agreement: ", "samples used"), strict=True):
        assert 'role="img" aria-label="' in plot
        assert axis in plot
        assert plot.count("<title>") > 10
    for name in ("BestOfN", "CritiqueRepair", "gpt-5-mini", "llama-3.3-70b", "unpriced"):
        assert f">{name}" in dom


class Recording(http.server.SimpleHTTPRequestHandler):
    """Remembers what is asked for."""

    asked: list[str] = []  # noqa: RUF012 - of one test

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args):
        pass


def test_nothing_is_loaded(browser, folder):
    """The browser asks its server for the page alone, and nobody else for anything."""
    handler = functools.partial(Recording, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser(f"http://127.0.0.1:{server.server_port}/month.html", "--dump-dom")
        server.shutdown()
    assert "/month.html" in Recording.asked
    assert set(Recording.asked) <= {"/month.html", "/favicon.ico"}  # the browser's own wish
    assert measured(browser, folder / "month.html", 1400)["fetched"] == 0


@pytest.mark.parametrize("width", [1400, 500])
@pytest.mark.parametrize("name", ["month", "few", "one", "much"])
def test_no_text_lies_on_another(browser, folder, name, width):
    """On a wide screen and on the narrowest one that Chromium opens, where only tables scroll."""
    found = measured(browser, folder / f"{name}.html", width)
    assert found["wide"] <= found["screen"]
    assert set(found["spilt"]) <= ({"scroll"} if width < 1000 else set())
    boxes = [box for box in found["boxes"] if not box["hidden"]]
    assert len(boxes) > 15
    assert all(box["left"] >= 0 and box["right"] <= found["screen"] for box in boxes)
    clashes = [
        (one["text"], other["text"])
        for at, one in enumerate(boxes)
        for other in boxes[at + 1 :]
        if overlap(one, other)
    ]
    assert clashes == []


REQUEST = """
import asyncio, json
from thinktwice import BestOfN, Price, observe, solve
from thinktwice.testing import ScriptedSampler
from thinktwice.verifiers import Judge

observe()
grades = [json.dumps({"reason": "", "score": score}) for score in (8, 3, 9, 7)]
judge = Judge(
    ScriptedSampler(grades, seconds=0.12, model="gpt-5-mini", input_tokens=900, output_tokens=40),
    rubric="Is it right?",
)
ask = ScriptedSampler(
    ["391", "381", "391", "391"],
    seconds=[0.3, 0.22, 0.4, 0.35],
    model="claude-sonnet-4-5",
    input_tokens=700,
    output_tokens=350,
)
prices = {"claude-sonnet-4-5": Price("3", "15"), "gpt-5-mini": Price("0.25", "2")}
asyncio.run(solve("17 * 23", sampler=ask, strategy=BestOfN(4, verifier=judge), prices=prices))
"""
ON_A_TERMINAL = """<!DOCTYPE html><meta charset="utf-8"><style>
body {{ margin: 0; background: {background}; color: {foreground}; }}
pre {{ font: 14px/1.3 "DejaVu Sans Mono", monospace; margin: 18px; }}
</style><pre>{code}</pre>"""


def on_a_terminal(columns, *arguments):
    """What `thinktwice` prints to a terminal so wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TZ": "UTC", "TERM": "xterm-256color", "COLUMNS": str(columns)}
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-m", "thinktwice.cli", *map(str, arguments)],
        env={name: environment[name] for name in environment if name != "NO_COLOR"},
        stdout=theirs,
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # that is how a terminal ends
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    assert process.wait() == 0
    return said.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def request_store(tmp_path_factory):
    """A request that took half a second: a judge picked the best of four."""
    path = tmp_path_factory.mktemp("request") / "spans.db"
    environment = {**os.environ, "THINKTWICE_STORE": str(path)}
    subprocess.run([sys.executable, "-c", REQUEST], env=environment, check=True)  # noqa: S603
    return path


def test_costs_on_a_terminal(browser, folder, tmp_path):
    """In colour, within its columns; a picture of it is in the documentation."""
    said = on_a_terminal(100, "costs", "--store", folder / "month.db", "--dearest", "3")
    check(said, 100)
    kept = said.replace(said[said.index("\x1b[2mday") : said.index("\x1b[2mdearest")], "")
    photograph(browser, "$ thinktwice costs --dearest 3\n" + kept, 100, tmp_path / "costs.png")


def test_trace_on_a_terminal(browser, request_store, tmp_path):
    """A bar of time and one of cost for each span."""
    run = json.loads(command("costs", "--json", "--store", request_store))["dearest"][0]["run"]
    said = on_a_terminal(130, "trace", run[:6], "--store", request_store)
    check(said, 130)
    assert said.count("█") > 40
    assert said.count("call claude-sonnet-4-5") == said.count("call gpt-5-mini") == 4
    photograph(browser, f"$ thinktwice trace {run[:6]}\n{said}", 130, tmp_path / "trace.png")


def check(said, columns):
    assert "\x1b[" in said
    lines = Text.from_ansi(said).plain.splitlines()
    assert len(lines) > 8
    assert not any("…" in line for line in lines)
    assert max(map(len, lines[2:])) <= columns


def photograph(browser, said, columns, picture):
    """A picture of a terminal; of the documentation, if that is wanted."""
    console = Console(record=True, width=columns, file=io.StringIO())
    console.print(Text.from_ansi(said), soft_wrap=True)
    page = picture.with_suffix(".html")
    page.write_text(
        console.export_html(theme=DIMMED_MONOKAI, code_format=ON_A_TERMINAL, inline_styles=True)
    )
    lines = said.count("\n") + 1
    browser(
        page.as_uri(),
        f"--screenshot={picture}",
        size=f"{36 + int(8.5 * columns)},{36 + int(18.2 * lines)}",
    )
    keep(picture)


def keep(picture):
    """It is not empty, and small enough for a page of the documentation."""
    assert 8_000 < picture.stat().st_size < MOST
    if os.environ.get("THINKTWICE_PICTURES"):
        shutil.copy(picture, IMAGES / picture.name)


def test_the_page_as_a_picture(browser, folder, tmp_path):
    """As it opens."""
    picture = tmp_path / "costs-page.png"
    url = (folder / "month.html").as_uri()
    browser(url, f"--screenshot={picture}", size="1100,1760")
    keep(picture)
