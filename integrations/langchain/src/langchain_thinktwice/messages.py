"""Messages as answers: which are the same one, what they say of themselves, and the summary."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage

from langchain_thinktwice.accounting.logprobs import NO_LOGPROBS, Logprobs, logprobs
from thinktwice.answers import canonical_json, default_key, fold, text_in, with_text
from thinktwice.sample import finish_meaning

if TYPE_CHECKING:
    from thinktwice import Result

T = TypeVar("T")

METADATA = "thinktwice"
"""Where the summary stands in `response_metadata`."""

_RAW = {"raw", "parsed", "parsing_error"}
_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason")


@default_key.register
def _(value: AIMessage) -> Hashable | None:
    """Tool calls by name and arguments in any order, else the text; never an id."""
    if value.invalid_tool_calls:
        return None
    if value.tool_calls:
        calls = (canonical_json((call["name"], call["args"])) for call in value.tool_calls)
        return ("tool_calls", tuple(sorted(calls)))
    return fold(str(value.text))


@default_key.register
def _(value: BaseMessage) -> Hashable | None:
    return fold(str(value.text))


@text_in.register
def _(value: BaseMessage) -> str:
    return str(value.text)


@with_text.register
def _(value: BaseMessage, text: str) -> BaseMessage | None:
    """A copy; none where nobody can tell which part of the content changed."""
    content = value.content
    changed = text if isinstance(content, str) else _in_its_block(content, text)
    return None if changed is None else value.model_copy(update={"content": changed})


def _in_its_block(
    content: Sequence[str | dict[str, Any]], text: str
) -> list[str | dict[str, Any]] | None:
    """With another text in the only block of text; None if marks refer to places in that."""
    found = [at for at, each in enumerate(content) if _is_text(each)]
    if len(found) != 1:
        return None
    old = content[at := found[0]]
    if isinstance(old, dict) and (old.get("annotations") or old.get("citations")):
        return None
    new = text if isinstance(old, str) else {**old, "text": text}
    return [*content[:at], new, *content[at + 1 :]]


def _is_text(block: str | dict[str, Any]) -> bool:
    return isinstance(block, str) or block.get("type") == "text"


@dataclass(frozen=True)
class Reading:
    """What a reply says of itself.

    Attributes:
        text: Its text.
        finish_reason: Why it ended.
        logprobs: Log-probabilities of its tokens.
    """

    text: str | None = None
    finish_reason: str | None = None
    logprobs: Logprobs = NO_LOGPROBS


def read_message(message: AIMessage) -> Reading:
    """Read a message of a model."""
    metadata = message.response_metadata
    return Reading(str(message.text), finish_reason(metadata), logprobs(metadata))


def message_in(value: object) -> AIMessage | None:
    """The message that a value is, or that `include_raw` keeps beside what was parsed."""
    if isinstance(value, Mapping) and set(cast("Mapping[str, object]", value)) == _RAW:
        value = cast("Mapping[str, object]", value)["raw"]
    return value if isinstance(value, AIMessage) else None


def finish_reason(metadata: Mapping[str, Any]) -> str | None:
    """Why generation ended, in one spelling for all providers where it cut the reply short."""
    details = metadata.get("incomplete_details")
    reason = next((metadata[name] for name in _REASONS if metadata.get(name)), None)
    if reason is None and isinstance(details, Mapping):
        reason = cast("Mapping[str, object]", details).get("reason")
    return finish_meaning(reason) if isinstance(reason, str) else None


def annotated(value: T, result: Result[Any]) -> T:
    """The value; a message in it is a copy that carries the summary."""
    message = message_in(value)
    if message is None:
        return value
    metadata = {**message.response_metadata, METADATA: result.summary()}
    copy = message.model_copy(update={"response_metadata": metadata})
    if isinstance(value, Mapping):
        return cast("T", {**cast("Mapping[str, Any]", value), "raw": copy})
    return cast("T", copy)


def as_chunk(value: T) -> T:
    """The value; a whole message as the only chunk of its stream."""
    if not isinstance(value, AIMessage) or isinstance(value, AIMessageChunk):
        return value
    fields: dict[str, Any] = {name: each for name, each in value if name != "type"}
    fields["chunk_position"] = "last"
    return cast("T", AIMessageChunk(**fields))
