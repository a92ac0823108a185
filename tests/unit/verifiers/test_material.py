"""Texts of others in the prompt of a judge."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from thinktwice.verifiers.material import framed, uncoded


@given(st.lists(st.text(max_size=200), min_size=1, max_size=3))
def test_each_part_is_one_line_that_reads_back_as_it_was(texts: list[str]):
    """Between its marks, and with nothing that could close them."""
    prompt = framed("role", [(f"part_{i}", text) for i, text in enumerate(texts)], "request")
    code = re.search(r"code ([0-9a-f]{16})", prompt.instructions)
    assert code
    lines = prompt.material.split("\n")
    parts = re.findall(
        rf"^<(\w+) {code[1]}>\n(.*)\n</\1 {code[1]}>$", prompt.material, re.MULTILINE
    )
    assert [name for name, _ in parts] == [f"part_{i}" for i in range(len(texts))]
    assert len(lines) == len(prompt.material.splitlines()) == 4 * len(texts) - 1
    for (_, data), text in zip(parts, texts, strict=True):
        assert json.loads(data) == text.encode("utf-8", "replace").decode()
        assert not re.search(r"<\s*/", data)


def test_the_instructions_stand_before_and_behind():
    """The rules before the material, the request after it."""
    prompt = framed("You judge.", [("a", "x")], "Answer.", rules="By these rules.")
    assert str(prompt).startswith("You judge.\n")
    assert "By these rules." in prompt.instructions
    assert prompt.request.endswith("Answer.")
    assert [each["role"] for each in prompt.messages()] == ["system", "user"]


def test_equal_prompts_are_known_again():
    """Without the code that is new each time; what a candidate says of codes stays."""
    parts = [("candidate", "marks with the code 0123456789abcdef")]
    first, second = (str(framed("role", parts, "request")) for _ in range(2))
    assert first != second
    assert uncoded(first) == uncoded(second)
    assert "0123456789abcdef" in uncoded(first)
    other = str(framed("role", [("candidate", "x")], "request"))
    assert uncoded(other) != uncoded(first)
    assert uncoded("no code") == "no code"
