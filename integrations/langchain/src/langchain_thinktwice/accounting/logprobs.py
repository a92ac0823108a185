"""Log-probabilities of a reply, in the shapes in which LangChain's models hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple, cast

Record = Mapping[str, Any]


class Logprobs(NamedTuple):
    """Natural logarithms, one entry a token.

    Attributes:
        sampled: Of the tokens of the reply; None if there are none, or not of all of them.
        top: Of the most probable tokens at each position; None if none were asked for.
    """

    sampled: tuple[float, ...] | None = None
    top: tuple[tuple[float, ...], ...] | None = None


NO_LOGPROBS = Logprobs()
"""Nothing is known."""


def logprobs(metadata: Mapping[str, Any]) -> Logprobs:
    """Read them of a message's metadata or of a generation's info.

    OpenAI's chat completions and servers like them have a list of records under
    `logprobs["content"]`, Ollama has it under `logprobs`, Vertex AI under `logprobs_result`;
    completions that are no chat have parallel lists.
    """
    found = metadata.get("logprobs") or metadata.get("logprobs_result")
    if isinstance(found, Mapping):
        fields = cast("Record", found)
        found = _transposed(fields) if "token_logprobs" in fields else fields.get("content")
    records = [each for each in _items(found) if isinstance(each, Mapping)]
    if not records or len(records) != len(_items(found)):
        return NO_LOGPROBS
    sampled = _numbers(record.get("logprob") for record in records)
    top = tuple(_alternatives(record.get("top_logprobs")) for record in records)
    return Logprobs(sampled if len(sampled) == len(records) else None, top if any(top) else None)


def _transposed(fields: Record) -> list[Record]:
    """Records of parallel lists."""
    sampled, top = _items(fields["token_logprobs"]), _items(fields.get("top_logprobs"))
    top += [None] * (len(sampled) - len(top))
    return [
        {"logprob": each, "top_logprobs": others}
        for each, others in zip(sampled, top, strict=False)
    ]


def _alternatives(top: object) -> tuple[float, ...]:
    """Of a list of records, or of a mapping of tokens."""
    if isinstance(top, Mapping):
        return _numbers(cast("Record", top).values())
    records = (cast("Record", each) for each in _items(top) if isinstance(each, Mapping))
    return _numbers(record.get("logprob") for record in records)


def _items(value: object) -> list[Any]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(cast("Sequence[Any]", value))
    return []


def _numbers(values: Iterable[object]) -> tuple[float, ...]:
    return tuple(float(each) for each in values if isinstance(each, Real))
