"""What an answer claims."""

from __future__ import annotations

import json

import pytest

from thinktwice.errors import RunError, UsageError
from thinktwice.sample import Completion
from thinktwice.verifiers.grounding.claims import AtomicClaims, Claim, claims_of, split_claims


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Paris is big [1].", [Claim("Paris is big.", (1,))]),
        (
            "Paris is big.[1][3] Lyon is not.",
            [Claim("Paris is big.", (1, 3)), Claim("Lyon is not.")],
        ),
        ("Paris [2, 4-6] is big.", [Claim("Paris is big.", (2, 4, 5, 6))]),
        ("Paris is big.\u30102\u2020source\u3011", [Claim("Paris is big.", (2,))]),
        ("Paris is big.[^1]", [Claim("Paris is big.", (1,))]),
        ("# About\n\nHere it is:\n- Is it big?\n- It is big.", [Claim("It is big.")]),
        ("42", [Claim("42")]),
        ("[1]", []),
        ("What? Why?", []),
    ],
)
def test_claims_are_statements_with_their_citations_apart(text: str, claims: list[Claim]):
    """Questions, headings and lead-ins claim nothing."""
    assert list(split_claims(text)) == claims


def test_a_range_of_citations_is_bounded():
    """Texts are untrusted."""
    (claim,) = split_claims("It is so [1-999].")
    assert len(claim.citations) == 20


async def test_a_splitter_of_ones_own():
    """Sync or async; its claims may cite as well."""

    async def later(text: str) -> list[str]:
        return [text, "b [2]"]

    for splitting in (later, lambda text: [text, "b [2]"]):
        assert await claims_of("a", splitting) == [Claim("a"), Claim("b", (2,))]
    with pytest.raises(TypeError):
        await claims_of("a", lambda text: text)


class TestAtomicClaims:
    """By a model."""

    async def test_the_answer_is_data(self):
        """And the list is the model's."""
        asked: list[str] = []
        reply = json.dumps({"claims": ["Paris is big.", "Lyon is not."]})
        atomic = AtomicClaims(lambda prompt: asked.append(prompt) or reply)
        assert await atomic("Paris is big, unlike Lyon.") == ["Paris is big.", "Lyon is not."]
        assert '"Paris is big, unlike Lyon."' in asked[0]
        assert atomic.calls == 1

    @pytest.mark.parametrize(
        "reply",
        [
            "- a\n- b",
            '{"claims": "a"}',
            '{"claims": [1]}',
            Completion(value='{"claims": []}', finish_reason="length"),
        ],
        ids=repr,
    )
    async def test_what_is_no_list_of_claims_is_an_error(self, reply: object):
        """It says nothing of the answer."""
        with pytest.raises(RunError):
            await AtomicClaims(lambda _: reply)("text")

    def test_it_needs_a_model(self):
        """By name."""
        with pytest.raises(UsageError, match=r"^sampler="):
            AtomicClaims("model")  # type: ignore[arg-type]
