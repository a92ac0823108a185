"""What the samples of a run give reason to say."""

from __future__ import annotations

import asyncio
import threading
import warnings
from decimal import Decimal
from functools import partial

import pytest

from thinktwice import Sample, ThinktwiceWarning, remarks
from thinktwice.sample import NO_USAGE

LONG = "the same words, so many of them that chance does not repeat them twice over"


def samples(
    *answers: object, text: str | None = None, cached: bool = False
) -> list[Sample[object]]:
    return [
        Sample(index=index, answer=answer, text=text or str(answer), cached=cached)  # type: ignore[arg-type]
        for index, answer in enumerate(answers)
    ]


def said(drawn: list[Sample[object]], **more: bool) -> list[str]:
    usual = {"answered": True, "cut": False}
    return list(remarks.remarks(drawn, **{**usual, **more}))


class TestRemarks:
    """When each is due."""

    def test_nothing_unusual(self):
        """Nothing is said."""
        assert said(samples("a", "a", "b", "a")) == []

    def test_four_different_answers(self):
        """Of those that could have agreed."""
        assert remarks.all_different(samples("a", None, "b", "c", "d"))
        assert remarks.all_different(samples("a", "b", "c", "d", "d"))
        assert not remarks.all_different(samples("a", "b", "c"))
        assert not remarks.all_different(samples("a", "b", "c", "a"))

    def test_the_same_long_text(self):
        """A temperature of 0, most likely; short answers repeat by chance."""
        assert said(samples(1, 1, 1, 1, text=LONG)) == [remarks.IDENTICAL]
        assert said(samples(1, 1, 1, text=LONG)) == []
        assert said(samples(1, 1, 1, 1, text="42")) == []

    def test_a_cut(self):
        """Where there is an answer all the same; without one an exception says it."""
        assert said(samples("a"), cut=True) == [remarks.CUT]
        assert said([], cut=True, answered=False) == []

    def test_no_call_was_heard_of(self):
        """In no sample that came to an end: it says more than that one was not seen."""
        assert said(samples("a", "b"), unheard=2, capped=True) == [remarks.UNHEARD]
        assert said(samples("a", "b"), unheard=1, capped=True) == [remarks.UNSEEN]
        assert said([Sample(index=0, error=ValueError())]) == []

    def test_no_answer(self):
        """All abstained; where all failed an exception says it."""
        assert said(samples(None, None), answered=False) == [remarks.ALL_ABSTAINED]
        failed = [Sample(index=0, error=ValueError())]
        assert said(failed, answered=False) == []

    @pytest.mark.parametrize("why", ["cut short", "empty", "format", "key=", "result.samples"])
    def test_no_answer_names_what_may_be_why(self, why: str):
        """Also where tokens and keys have no part in it."""
        assert why in remarks.ALL_ABSTAINED

    def test_cached(self):
        """One may be; two are one sample counted twice."""
        assert said(samples("a", "a", cached=True)) == [remarks.CACHED]
        assert said([*samples("a", cached=True), *samples("a")]) == []
        assert said(samples("a", "a", cached=True), replayed=2) == []
        assert said(samples("a", "a", "a", cached=True), replayed=1) == [remarks.CACHED]

    def test_tokens_that_nobody_counted(self):
        """Under a cap; what took none, being part of another's request, is counted."""
        joined = Sample(index=0, answer="a", usage=NO_USAGE, cost=Decimal(0))
        assert said([joined], capped=True) == []
        assert said(samples("a"), capped=True) == [remarks.UNSEEN]


@pytest.mark.usefixtures("fresh_remarks")
class TestTellOnce:
    """Once a process."""

    def test_each_message_once(self):
        """Others are still said."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for message in ("one", "one", "two"):
                remarks.tell_once(message)
        assert [str(each.message) for each in caught] == ["one", "two"]
        assert {each.category for each in caught} == {ThinktwiceWarning}

    def test_it_points_at_the_callers_line(self):
        """And at no file of ours, of Python's or of an installed package."""
        source = "def through(call):\n    return call()\n"
        inside = {"__name__": "llama_index_thinktwice.solver"}
        exec(source, inside)  # noqa: S102 - a frame of another module

        async def awaited() -> None:
            inside["through"](lambda: remarks.tell_once("here"))  # type: ignore[operator]

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            asyncio.run(awaited())
            inside["through"](partial(remarks.tell_once, "there"))  # type: ignore[operator]
        assert [each.filename for each in caught] == [__file__, __file__]

    def test_on_a_thread_it_is_said_as_well(self):
        """There is no line of the caller's on its stack."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            thread = threading.Thread(target=remarks.tell_once, args=("from afar",))
            thread.start()
            thread.join()
        assert [str(each.message) for each in caught] == ["from afar"]

    @pytest.mark.parametrize("raising", ["filter", "hook"])
    def test_where_nothing_may_be_raised_it_is_logged(self, raising, monkeypatch, caplog):
        """Once, whether a filter raises or what shows warnings: a logging handler, for one."""

        def show(*_: object) -> None:
            raise LookupError(raising)

        monkeypatch.setattr(warnings, "showwarning", show)
        warnings.simplefilter("error" if raising == "filter" else "always")
        with pytest.raises((ThinktwiceWarning, LookupError)):
            remarks.tell_once("one")
        remarks.tell_safely("two")
        remarks.tell_safely("two")
        assert [each.getMessage() for each in caplog.records] == ["two"]


def test_an_unknown_price_under_a_cap_on_cost_is_said():
    """It was charged all that it held, which ends the run early."""
    unpriced = [Sample(index=0, value="a", answer="a")]
    said = list(remarks.remarks(unpriced, answered=True, cut=True, cost_capped=True))
    assert remarks.UNPRICED in said
    priced = [Sample(index=0, value="a", answer="a", cost=Decimal(1))]
    said = list(remarks.remarks(priced, answered=True, cut=True, cost_capped=True))
    assert remarks.UNPRICED not in said
