"""The page of costs."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinktwice.cli import main
from thinktwice.cli.page import page
from thinktwice.cli.plots import HEIGHT, Mean, bars, dots, means, palette, ticks
from thinktwice.store.costs import read_costs
from thinktwice.store.file import Batch, StoreFile
from thinktwice.store.pictures import Bar, Dot, read_pictures
from thinktwice.store.rows import RequestRow, SpendRow
from thinktwice.store.tree import TRILLION, Spend

HOSTILE = '<script>alert("x")</script>&'
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def store(path, *moments: datetime, strategy: str = "Vote"):
    """One request of a dollar at each moment; the later ones use more samples."""
    requests = [
        RequestRow(
            id=at,
            run=f"{at:016x}",
            trace=f"{at:032x}",
            strategy=strategy,
            started=int(moment.timestamp() * 1e6),
            took=10**6,
            requested=8,
            launched=at,
            used=at,
            failed=0,
            stopped_by="Certain()",
            cut=0,
            agreement=1 / at,
            calls=at,
            input=9,
            output=9,
            cost=TRILLION,
            unpriced=0,
            sampled=TRILLION,
            wasted=0,
        )
        for at, moment in enumerate(moments, 1)
    ]
    spend = [SpendRow(row.id, "m", "sample", Spend(1, 9, 9, TRILLION), 0) for row in requests]
    file = StoreFile(path, 2**20)
    file.write(Batch([], [], spend, requests))
    file.close()
    return path


class Tags(HTMLParser):
    """All tags, and whether they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def made(path) -> str:
    return page(read_costs(path), read_pictures(path))


def test_a_page_that_needs_nothing_else(tmp_path):
    """Three plots, tables, no script, and nothing from elsewhere; names stay text."""
    days = [START + timedelta(days=at) for at in range(5)]
    text = made(store(tmp_path / "spans.db", *days, strategy=HOSTILE))
    tags = Tags(text)
    assert tags.open == []
    assert tags.seen.count("svg") == 3
    assert {"script", "link", "img", "iframe", "image", "use"}.isdisjoint(tags.seen)
    assert "http" not in text
    assert "url(" not in text
    assert "$5.00" in text


def test_what_has_no_price_is_not_free(tmp_path):
    """Neither in the tables nor in the plots."""
    path = store(tmp_path / "spans.db", START)
    file = StoreFile(path, 2**20)
    moment = int(START.timestamp() * 1e6)
    local = RequestRow(id=9, run="9", trace="9", strategy="Local", started=moment, used=3, took=1)
    file.write(Batch([], [], [SpendRow(9, "l", "sample", Spend(3, 9, 9, 0, 3), 0)], [local]))
    file.close()
    text = made(path)
    assert text.count("<td>unpriced</td>") == 4  # cost and mean, by strategy and by model
    assert text.count("<b>≥\u00a0$1.00</b>") == 1
    assert "<b>≥\u00a0$0.5000</b>a request" in text
    assert "3</b>calls without a known cost" in text
    alone = tmp_path / "alone.db"
    file = StoreFile(alone, 2**20)
    file.write(Batch([], [], [SpendRow(9, "l", "sample", Spend(3, 9, 9, 0, 3), 0)], [local]))
    file.close()
    assert "No call has a known cost" in made(alone)


def test_what_stopping_early_saved(tmp_path):
    """One bar of what all samples would have cost; a request of 1 of 8 samples saved 7 eighths."""
    text = made(store(tmp_path / "spans.db", START))
    assert "would have cost about $8.00; stopping early saved 88 % of it" in text
    shares = [
        float(each) for each in re.findall(r'class="c[023]" style="width:([0-9.]+)%" ti', text)
    ]
    assert shares[:2] == [12.5, 87.5]


def test_what_to_conclude(tmp_path):
    """Stands above each plot: what costs most, what disagreement costs, and where half stop."""
    text = made(store(tmp_path / "spans.db", START, START, START, strategy="A"))
    assert titles(text)[1:4] == [
        "Cost over time",
        "Cost of an answer against its agreement: A costs $1.0000 at 0.33, $1.0000 at 1.00",
        "Where samples stop: half of the requests used 2 or fewer",
    ]
    file = StoreFile(tmp_path / "spans.db", 2**20)
    other = RequestRow(id=9, run="9", trace="9", strategy=HOSTILE, started=int(START.timestamp()))
    file.write(
        Batch([], [], [SpendRow(9, "m", "sample", Spend(1, 9, 9, 9 * TRILLION), 0)], [other])
    )
    file.close()
    assert (
        titles(made(tmp_path / "spans.db"))[1] == f"Cost over time: {escape(HOSTILE)} is 75 % of it"
    )


def test_one_request(tmp_path):
    """There is nothing to hold against each other."""
    text = made(store(tmp_path / "spans.db", START))
    assert titles(text)[1:3] == ["Cost over time", "Cost of an answer against its agreement"]
    assert "newest" not in text  # they are all there


def titles(text):
    return re.findall("<h2>(.*?)</h2>", text)


def test_a_strategy_has_one_colour(tmp_path):
    """In both plots of costs, whichever is dearer or more frequent."""
    path = store(tmp_path / "spans.db", START, START)
    file = StoreFile(path, 2**20)
    dear = RequestRow(
        id=9, run="9", trace="9", strategy="Dear", started=int(START.timestamp() * 1e6), used=3,
        took=1, agreement=0.5, cost=9 * TRILLION, unpriced=0,
    )  # fmt: skip
    file.write(Batch([], [], [SpendRow(9, "m", "sample", Spend(3, 9, 9, 9 * TRILLION), 0)], [dear]))
    file.close()
    legends = re.findall(r'<i class="c(\d)"></i>(Dear|Vote)<', made(path))
    assert sorted(legends) == [("0", "Dear"), ("0", "Dear"), ("1", "Vote"), ("1", "Vote")]


def test_of_an_empty_store(tmp_path):
    """It says so."""
    assert "No requests." in made(store(tmp_path / "spans.db"))


@pytest.mark.parametrize(
    ("apart", "unit", "least"),
    [
        (timedelta(hours=5), "hour", 11),
        (timedelta(days=3), "day", 7),
        (timedelta(days=80), "month", 6),
    ],
)
def test_time_has_no_gaps(tmp_path, apart, unit, least):
    """Each hour, day or month has its bar, and they add up to all that was spent."""
    path = store(tmp_path / "spans.db", START, START + apart, START + 2 * apart)
    found = read_pictures(path)
    assert found.unit == unit
    assert len(found.over_time) >= least
    assert sum(sum(bar.parts.values()) for bar in found.over_time) == 3
    assert [bar.name for bar in found.over_time] == sorted(bar.name for bar in found.over_time)


def test_where_samples_stop(tmp_path):
    """Every number of samples has its bar."""
    path = store(tmp_path / "spans.db", *[START] * 4)
    assert read_pictures(path).stops == [Bar(str(at), {"Certain()": 1}) for at in range(1, 5)]
    assert read_pictures(path, since=START + timedelta(1)).stops == ()


def test_bars_are_as_high_as_they_should(tmp_path):
    """Parts stand on each other, each in its share of the axis."""
    data = [Bar("a", {"x": 3.0, "y": 1.0}), Bar("b", {}), Bar("c", {"x": 2.0})]
    colours = palette({"x": 5, "y": 1})
    drawn = parsed(bars(data, colours, number=lambda v, _: f"{v}", x="n", about="some"))
    boxes = [element.attrib for element in drawn.iter("rect")]
    heights = [float(box["height"]) for box in boxes]
    assert heights[0] == pytest.approx(3 * heights[1], abs=0.1)
    assert heights[2] == pytest.approx(2 * heights[1], abs=0.1)
    assert float(boxes[1]["y"]) == pytest.approx(float(boxes[0]["y"]) - heights[1], abs=0.1)


@given(st.lists(st.builds(Dot, st.floats(0, 1), st.floats(0, 100), st.just("V")), max_size=30))
def test_dots_stay_inside(data):
    """Whatever they cost, each is drawn, and inside of the plot."""
    drawn = parsed(
        dots(data, {"V": 0}, number=lambda v, _: f"{v:.2f}", x="agreement", about="some")
    )
    circles = list(drawn.iter("circle"))
    assert len(circles) == len(data) + len(means(data))
    assert all(0 <= float(each.attrib["cx"].removesuffix("%")) <= 100 for each in circles)
    assert all(0 <= float(each.attrib["cy"]) <= HEIGHT for each in circles)


def test_each_strategy_has_its_own_line():
    """Or a dear strategy would look like the cost of disagreement."""
    data = [Dot(at / 4, cost, name) for name, cost in (("V", 1), ("B", 9)) for at in (1, 3)]
    colours = {"B": 0, "V": 1}
    drawn = parsed(dots(data, colours, number=lambda v, _: f"{v:g}", x="agreement", about="some"))
    lines = {each.attrib["class"]: each.attrib for each in drawn.iter("line")}
    for name, colour in colours.items():
        line = lines[f"mean l{colour}"]
        assert line["y1"] == line["y2"], name


def test_names_below_the_axis_stay_apart():
    """Long ones are fewer, and on a narrow screen half of them are hidden."""

    def shown(names):
        drawn = parsed(
            bars([Bar(name, {}) for name in names], {}, number=lambda *_: "", x="", about="")
        )
        return [each.attrib["class"] for each in drawn.iter("text") if each.text in names]

    short = shown([str(at) for at in range(10, 26)])
    long = shown([f"01-26 {at}:00" for at in range(10, 26)])
    assert len(short) == 16 > len(long) > 2
    assert short.count("minor") == 8


def test_means_of_tenths():
    """Of those that have requests."""
    data = [Dot(0.51, 1, "V"), Dot(0.59, 3, "V"), Dot(1.0, 5, "V")]
    assert means(data) == [Mean(pytest.approx(0.55), 2, 2), Mean(1, 5, 1)]


@given(st.floats(1e-9, 1e9))
def test_axes_have_round_steps(value):
    """Four or so from 0 on, of which the last is at the value or little above it."""
    levels = ticks(value)
    step = levels[1]
    assert levels[0] == 0
    assert 3 <= len(levels) <= 5
    assert value * (1 - 1e-6) <= levels[-1] <= value + step
    assert f"{step:e}".rstrip("0123456789+-").rstrip("e").rstrip("0").rstrip(".") in {
        *("1", "2", "2.5", "5"),
    }


@given(st.integers(1, 10**6))
def test_counts_have_whole_steps(value):
    """There is no half a request."""
    levels = ticks(value, whole=True)
    assert all(level == int(level) for level in levels)
    assert len(set(levels)) == len(levels)
    assert levels[-1] >= value


def test_many_names_share_a_colour():
    """The heaviest have their own."""
    colours = palette({f"s{at}": 10 - at for at in range(9)})
    assert list(colours.values()) == [0, 1, 2, 3, 4, 5, 5, 5, 5]
    assert list(colours) == [f"s{at}" for at in range(9)]


def test_by_the_command(tmp_path, monkeypatch, capsys):
    """It writes the file and prints nothing; where it cannot, it says so."""
    path = store(tmp_path / "spans.db", START)

    def call(file):
        monkeypatch.setattr(
            sys, "argv", ["thinktwice", "costs", "--store", str(path), "--html", str(file)]
        )
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code or 0, capsys.readouterr()

    assert call(tmp_path / "page.html") == (0, ("", ""))
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    status, said = call(tmp_path)
    assert status == 2
    assert "this is a folder" in said.err
    status, said = call(tmp_path / "none" / "page.html")
    assert status == 2
    assert "cannot be written" in said.err
