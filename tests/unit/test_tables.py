"""Tables of words."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from thinktwice.tables import aligned, html_table, listed

ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.text("ab <&'\""), min_size=width, max_size=width), min_size=1, max_size=5
    )
)


class Cells(HTMLParser):
    """What a browser would show, and in which cells."""

    def __init__(self, page: str):
        super().__init__()
        self.rows: list[list[tuple[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append((tag, ""))

    def handle_data(self, data):
        tag, text = self.rows[-1].pop()
        self.rows[-1].append((tag, text + data))


def test_facts_are_listed():
    """Names as wide as the widest of them."""
    assert list(listed([("a", "1"), ("long", "is this")])) == ["a     1", "long  is this"]
    assert list(listed(iter([]))) == []


def test_numbers_stand_below_each_other():
    """To the right; the words of the first column to the left."""
    rows = [("", "n", "cost"), ("a word", "10", "$1"), ("b", "7", "$0.25")]
    assert list(aligned(rows)) == ["         n   cost", "a word  10     $1", "b        7  $0.25"]


@given(ROWS)
def test_all_lines_are_of_one_width(rows):
    """Whatever stands in them."""
    assert len({len(line) for line in aligned(rows)}) == 1


@given(ROWS)
def test_a_browser_shows_what_stands_in_the_cells(rows):
    """It is escaped: an answer is no markup."""
    assert Cells(html_table(rows)).rows == [[("td", cell) for cell in row] for row in rows]


def test_names_of_columns_and_of_rows():
    """Both are heads."""
    (head, row) = Cells(html_table([("a", "1")], head=("name", "n"), named=True)).rows
    assert head == [("th", "name"), ("th", "n")]
    assert row == [("th", "a"), ("td", "1")]
