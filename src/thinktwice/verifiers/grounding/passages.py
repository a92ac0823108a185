"""Where passages come from: a list, the prompt or the value itself, or a retriever."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from thinktwice.answers import text_in
from thinktwice.errors import UsageError
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable

Given: TypeAlias = "Sequence[object] | Callable[..., Sequence[object]]"
"""Passages, or a function of the prompt and the sample's value that returns them."""

Retriever: TypeAlias = "Callable[[str], Sequence[object] | Awaitable[Sequence[object]]]"
"""Finds passages for a text, sync or async."""

_FIELDS: Final = ("page_content", "text", "content")


def passage_text(passage: object) -> str:
    """The text of a passage: a text, or an object or dict with one.

    It is looked for in `page_content` (LangChain's documents), `text` (LlamaIndex's nodes) and
    `content`.

    Raises:
        TypeError: It has none.
    """
    if isinstance(passage, str):
        return passage
    for name in _FIELDS:
        if isinstance(passage, Mapping):
            found = cast("Mapping[str, object]", passage).get(name)
        else:
            found = getattr(passage, name, None)
        if isinstance(found, str):
            return found
    try:
        text = text_in(passage)
    except UsageError:
        text = None
    if text is None:
        raise TypeError("give texts, or objects with page_content, text or content")
    return text


def texts_of(found: object) -> list[str]:
    """The passages with a text.

    Raises:
        TypeError: It is no list of passages.
    """
    if isinstance(found, str | Mapping) or not isinstance(found, Sequence):
        raise TypeError("give a list of passages, such as [text]")
    texts = (passage_text(each) for each in cast("Sequence[object]", found))
    return [text for text in texts if text.strip()]


async def retrieved(retriever: Retriever, query: str) -> list[str]:
    """What a retriever finds; a sync one runs on a thread."""
    if inspect.iscoroutinefunction(retriever) or inspect.iscoroutinefunction(
        getattr(retriever, "__call__", None)  # noqa: B004 - an object with an async __call__
    ):
        found: object = retriever(query)
    else:
        found = await in_thread(lambda: retriever(query))
    if inspect.isawaitable(found):
        found = await found
    return texts_of(found)
