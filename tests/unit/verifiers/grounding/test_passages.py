"""Where passages come from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from thinktwice.verifiers.grounding.passages import passage_text, retrieved, texts_of


@pytest.mark.parametrize(
    ("passage", "text"),
    [
        ("a", "a"),
        (SimpleNamespace(page_content="a", text="b"), "a"),
        ({"text": "a"}, "a"),
        ({"content": "a", "id": 3}, "a"),
        (SimpleNamespace(content=[{"type": "text", "text": "a"}]), "a"),
    ],
    ids=repr,
)
def test_the_text_of_a_document(passage: object, text: str):
    """Of any framework, by its shape."""
    assert passage_text(passage) == text


@pytest.mark.parametrize("found", ["text", {"text": "a"}, 7, None, [7], [{"id": 3}]], ids=repr)
def test_what_is_no_list_of_documents(found: object):
    """Is refused by type, without a word of it."""
    with pytest.raises(TypeError, match=r"^give "):
        texts_of(found)


def test_blank_passages_are_left_out():
    """They support nothing."""
    assert texts_of(["a", " \n", "b"]) == ["a", "b"]


async def test_retrievers_are_sync_or_async_functions_or_objects():
    """As those of frameworks are."""

    class Retriever:
        async def __call__(self, query: str) -> list[str]:
            return [query]

    async def function(query: str) -> list[str]:
        return [query]

    for retriever in (Retriever(), function, lambda query: [query], Retriever().__call__):
        assert await retrieved(retriever, "q") == ["q"]
