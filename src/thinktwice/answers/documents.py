"""Objects: found in what a sampler returns, taken apart, and put together again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import Any, NamedTuple, cast

from thinktwice.answers.json_path import json_in
from thinktwice.answers.keys import default_key
from thinktwice.answers.shapes import RAW_SHAPE
from thinktwice.errors import TypeOf, UsageError


class Kind(NamedTuple):
    """What a value with parts is; values of one kind have parts that can be compared.

    Attributes:
        type: The class of a model or dataclass, else "object", "list" or "set".
        size: Length of a list.
    """

    type: object
    size: int = 0


OBJECT = Kind("object")
SET = Kind("set")


@dataclass(frozen=True)
class Document:
    """The object in what a sampler returned.

    Attributes:
        content: The object.
        holding: From another object to what the sampler would have returned with it.
    """

    content: object
    holding: Callable[[object], object]


@singledispatch
def opened(value: object) -> Document | None:
    """The object in what a sampler returned; None if there is none.

    It is the value itself; of `{"raw", "parsed", "parsing_error"}` what was parsed; of a text the
    JSON that it is, or that its last readable code fence is. Adapters register types that hold one.

    Raises:
        UsageError: A message or response, whose text nobody has parsed.
    """
    if value is None:
        return None
    if isinstance(value, str):
        content = next(json_in(value, parse_float=float), None)
        return None if content is None else Document(content, _json_text)
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return _opened_raw(fields) if set(fields) == RAW_SHAPE else Document(fields, _as_it_is)
    if _shape(type(value)) in {"model", "dataclass"} and _has_own_key(value):
        remedy = (
            "a message or response has no fields to vote on: parse it in the sampler, by "
            "structured output or a parser, or use Vote"
        )
        raise UsageError("sampler", TypeOf(value), remedy)
    return Document(value, _as_it_is)


def _as_it_is(content: object) -> object:
    return content


def _opened_raw(value: Mapping[str, object]) -> Document | None:
    inner = None if value["parsing_error"] is not None else opened(value["parsed"])
    if inner is None:
        return None
    return Document(inner.content, lambda content: {**value, "parsed": inner.holding(content)})


def _json_text(content: object) -> str:
    return json.dumps(content, ensure_ascii=False)


def parts_of(value: object) -> tuple[Kind, Mapping[Hashable, object]] | None:
    """The fields of a model, dataclass or mapping, the items of a list by position; else None."""
    shape = _shape(type(value))
    if shape is None:
        return None
    if shape == "object":
        return OBJECT, cast("Mapping[Hashable, object]", value)
    if shape == "list":
        items = cast("Sequence[object]", value)
        return Kind("list", len(items)), dict(enumerate(items))
    return None if _has_own_key(value) else (Kind(type(value)), _fields_of(value, shape))


@lru_cache(maxsize=1024)
def _shape(kind: Any) -> str | None:  # noqa: ANN401 - any class
    if issubclass(kind, Mapping):
        return "object"
    if issubclass(kind, list | tuple):
        return "list"
    if isinstance(getattr(kind, "model_fields", None), Mapping):  # pydantic, without importing it
        return "model"
    return "dataclass" if dataclasses.is_dataclass(kind) else None


def _has_own_key(value: object) -> bool:
    """An adapter says what its type is counted by, and that is no object of fields."""
    return default_key.dispatch(type(value)) is not default_key.dispatch(object)


def _fields_of(value: object, shape: str) -> dict[Hashable, object]:
    kind = cast("Any", type(value))
    if shape == "model":
        names: Iterable[str] = kind.model_fields
        extra: Mapping[str, object] = getattr(value, "model_extra", None) or {}
        return {**{name: getattr(value, name) for name in names}, **extra}
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind) if f.compare}


def rebuilt(template: object, parts: Mapping[Hashable, object]) -> object:
    """A value like another one with other parts, made by its own class.

    A pydantic model validates them. A dataclass keeps what it leaves out of comparison.

    Raises:
        Exception: The class refuses them.
    """
    kind, shape = cast("Any", type(template)), _shape(type(template))
    if shape == "model":
        data = parts["root"] if getattr(kind, "__pydantic_root_model__", False) else dict(parts)
        return kind.model_validate(data, by_alias=False, by_name=True)
    if shape == "dataclass":
        given = {f.name for f in dataclasses.fields(kind) if f.init}
        chosen = {str(name): part for name, part in parts.items() if name in given}
        return dataclasses.replace(cast("Any", template), **chosen)
    if shape == "object":
        return kind(dict(parts))
    return getattr(kind, "_make", kind)(parts.values())
