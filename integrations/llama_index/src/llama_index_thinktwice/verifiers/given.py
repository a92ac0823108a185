"""What an evaluator is given of a sample: the question, the answer and its sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.base.response.schema import Response
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from thinktwice.answers import canonical_json, text_in
from thinktwice.errors import TypeOf, UsageError
from thinktwice.texts import content_text, text_of
from thinktwice.verifiers.grounding.passages import texts_of

if TYPE_CHECKING:
    from thinktwice.verifiers.grounding.passages import Given


_CONTEXTS: Final = (
    "give a list of texts or nodes, such as [text], or a function of the prompt and the value"
)


def source_nodes_of(value: object) -> list[NodeWithScore]:
    """The source nodes of a response; none of any other value."""
    found: object = getattr(value, "source_nodes", None)
    listed = cast("Sequence[object]", found) if isinstance(found, Sequence) else ()
    return [each for each in listed if isinstance(each, NodeWithScore)]


def source_texts(_prompt: object, value: object, mode: MetadataMode) -> list[str]:
    """The texts of the source nodes of a response, in order."""
    return [each.get_content(metadata_mode=mode) for each in source_nodes_of(value)]


def question_in(prompt: object) -> str:
    """The question of a prompt: its text, and of a conversation what the user said last."""
    if isinstance(prompt, QueryBundle):
        return prompt.query_str
    if isinstance(prompt, Sequence) and not isinstance(prompt, str):
        asked = [each for each in cast("Sequence[object]", prompt) if _is_the_users(each)]
        if asked:
            return _said(asked[-1])
    return text_of(prompt)


def as_response(value: object, contexts: Given | None, prompt: object) -> Response:
    """A sample's value as a response of its text.

    Args:
        value: A response of LlamaIndex, or anything with a text.
        contexts: What stands for its source nodes: texts or nodes, or a function of the prompt and
            the value that returns such a list.
        prompt: What it answers.
    """
    text = _text_of(value)
    if contexts is None:
        return Response(text, source_nodes=source_nodes_of(value))
    return response_of(text, texts_of(contexts(prompt, value) if callable(contexts) else contexts))


def check_contexts(contexts: object) -> None:
    """Refuse what stands for no source nodes.

    Raises:
        UsageError: It is neither None, a function, nor a list of texts or nodes.
    """
    if contexts is None or callable(contexts):
        return
    try:
        texts_of(contexts)
    except TypeError:
        raise UsageError("contexts", TypeOf(contexts), _CONTEXTS) from None


def response_of(text: str | None, contexts: Sequence[str] | None) -> Response:
    """A response that rests on some texts.

    Raises:
        UsageError: They are no list.
    """
    if isinstance(contexts, str):
        raise UsageError("contexts", TypeOf(contexts), "give a list of texts, such as [text]")
    nodes = [NodeWithScore(node=TextNode(text=each)) for each in contexts or ()]
    return Response(text, source_nodes=nodes)


def _text_of(value: object) -> str | None:
    """Its text, or its data as JSON."""
    for read in (text_in, canonical_json):
        with suppress(UsageError):
            return read(value)
    return str(value)


def _is_the_users(message: object) -> bool:
    if isinstance(message, ChatMessage):
        return message.role == MessageRole.USER
    return isinstance(message, Mapping) and message.get("role") == "user"  # pyright: ignore[reportUnknownMemberType]


def _said(message: object) -> str:
    if isinstance(message, ChatMessage):
        return message.content or ""
    return content_text(cast("Mapping[str, object]", message).get("content"))
