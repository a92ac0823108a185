"""Ready checks of a rewrite."""

from __future__ import annotations

import pytest
from llama_index_thinktwice.transforms.checks import parses, retrieves

from thinktwice import Sample, UsageError


async def said(check, text):
    """The verdict on a text."""
    return await check(Sample(index=0, value=text), prompt="?")


async def test_what_a_parser_takes_passes_and_what_it_raises_is_the_feedback():
    """Sync parsers and async ones."""

    async def waits(text):
        return int(text)

    for function in (int, waits):
        assert (await said(parses(function), "12")).outcome == "pass"
        verdict = await said(parses(function), "twelve")
        assert verdict.outcome == "fail"
        assert "It cannot be read: invalid literal" in verdict.feedback


async def test_a_parser_that_says_nothing_is_named_by_its_error():
    """So that the feedback is not empty."""

    def mute(text):
        raise ValueError

    assert "ValueError" in (await said(parses(mute), "x")).feedback


async def test_enough_must_be_found(shelf):
    """Two for a word that two texts share."""
    check = retrieves(shelf, at_least=2)
    assert (await said(check, "capital")).outcome == "pass"
    verdict = await said(check, "rome")
    assert verdict.outcome == "fail"
    assert verdict.feedback.endswith("It must find at least 2.")
    assert (check.calls, check.role, check.name) == (0, "tool", "retrieves:2")


def test_what_makes_no_sense_is_refused_by_name(shelf):
    """What cannot be called, and what can be no number of nodes."""
    with pytest.raises(UsageError, match="function='int': give a function of the text"):
        parses("int")
    with pytest.raises(UsageError, match="at_least=0"):
        retrieves(shelf, at_least=0)
