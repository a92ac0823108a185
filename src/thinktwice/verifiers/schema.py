"""Checking the form of an answer: JSON Schema, or a pydantic type."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from thinktwice.answers import text_in, unwrap
from thinktwice.answers.json_path import fences_in
from thinktwice.answers.shapes import RAW_SHAPE, from_model
from thinktwice.errors import UsageError
from thinktwice.sample import Verdict
from thinktwice.threads import in_thread
from thinktwice.verifiers.json_schema import validator_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from thinktwice.entry import Role
    from thinktwice.sample import Sample

_MOST_PROBLEMS: Final = 5
_MOST_QUOTED: Final = 80
_MOST_CHARACTERS: Final = 300
_PUT_RIGHT: Final = (
    "The answer does not have the form that was asked for. Give all of it again, with this put "
    "right:"
)
_TOO_DEEP: Final = "it is nested too deeply"


class Problems(Protocol):
    """Finds what is wrong with data, given the JSON that it was read from if it was."""

    def __call__(
        self, data: object, read_from: str | None, *, strict: bool = False
    ) -> Iterable[str]:
        """Say each; with `strict`, a type converts no more than JSON makes it."""
        ...


@dataclass(frozen=True)
class Schema:
    """Checks that an answer is data of a given form, and says what is wrong where.

    A text must be JSON, or hold it in a code fence (the last one that can be read counts); of a
    chat message, that is its text. Anything else is data, and checked as it is. A form says nothing
    of what is in it: a pass is no proof that the answer is right, unless you say `exact=True`.

    JSON Schema needs the extra `schema`. Nothing that a schema refers to is fetched, "format" is
    not checked, and patterns are matched in time linear in the text, unless they use look-around or
    back-references.

    Cost: no model call.

    Example:
        ```python
        Schema({"type": "object", "required": ["city"]})
        Schema(Invoice)  # a pydantic model
        Schema(list[int])
        ```

    Attributes:
        schema: A JSON Schema as a mapping; or a pydantic model, a `TypeAdapter`, or any type that
            one can be made of.
        exact: The form is all that is asked for, so that best-of-N may stop at the first that fits.
        name: Shown in verdicts and spans.
        calls: Model calls per verdict.
        role: In the ledger.

    Raises:
        UsageError: It is no schema, or it refers to what is not in it.
    """

    schema: object
    exact: bool = field(default=False, kw_only=True)
    name: str = field(default="schema", kw_only=True)
    calls: int = field(default=0, init=False, repr=False)
    role: Role = field(default="tool", init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the schema, and keep it from changing."""
        given = self.schema
        if isinstance(given, Mapping):
            object.__setattr__(self, "schema", deepcopy(cast("Mapping[str, object]", given)))
        _ = self._problems

    async def __call__(self, sample: Sample[object], /, *, prompt: object) -> Verdict:
        """Read the value, and check it on a thread: there may be much of it."""
        del prompt
        problems = await in_thread(lambda: self.problems(sample.value))
        if not problems:
            return Verdict(outcome="pass", verifier=self.name, sample=sample.index)
        return Verdict(
            outcome="fail",
            feedback="\n- ".join([_PUT_RIGHT, *problems]),
            evidence=tuple(problems),
            verifier=self.name,
            sample=sample.index,
        )

    def problems(self, value: object, *, data: bool = False) -> list[str]:
        """What is wrong with a value, five things at the most; nothing if it fits.

        Args:
            value: Data, a text or a chat message.
            data: It is data, whatever it looks like, and used as it is. A type then takes nothing
                that it would have to convert, except what JSON has no form for: a date is a text.
        """
        try:
            text = None if data else _text_of(value)
            if text is not None:
                found = self._problems(*json_of(text))
            else:
                found = self._problems(value if data else _bare(value), None, strict=data)
            return [_cut(each) for each in islice(found, _MOST_PROBLEMS)]
        except json.JSONDecodeError as error:
            return [_unreadable(error)]
        except RecursionError:
            return [_TOO_DEEP]

    @cached_property
    def _problems(self) -> Problems:
        given = self.schema
        if isinstance(given, Mapping):
            return _by_json_schema(cast("Mapping[str, object]", given))
        return _by_type(given)

    def __getstate__(self) -> dict[str, object]:
        """What it was made of: what is compiled does not pickle."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def _by_json_schema(schema: Mapping[str, object]) -> Problems:
    validator: Any = validator_of(schema)
    from jsonschema import exceptions
    from pydantic_core import to_jsonable_python

    library: Any = exceptions

    def problems(data: object, read_from: str | None, *, strict: bool = False) -> Iterable[str]:
        del strict  # it never converts
        plain = data if read_from is not None else to_jsonable_python(data)
        for error in validator.iter_errors(plain):
            deepest = library.best_match([error])
            # It quotes what was found in full, which may be all of it.
            said = deepest.message.replace(repr(deepest.instance), _quoted(deepest.instance))
            rule = f"{deepest.validator}: {_quoted(deepest.validator_value)}"
            yield f"{_place(deepest.absolute_path)}: {said} ({rule})"

    return problems


def _by_type(schema: object) -> Problems:
    from pydantic import TypeAdapter, ValidationError

    try:
        given = cast("Any", schema)
        adapter = given if issubclass(type(schema), TypeAdapter) else TypeAdapter(given)
        adapter.rebuild()
    except Exception as error:
        remedy = "give a JSON Schema as a mapping, a pydantic model, or a type that pydantic knows"
        raise UsageError("schema", schema, remedy) from error

    def problems(data: object, read_from: str | None, *, strict: bool = False) -> Iterable[str]:
        written = _written(data) if strict else read_from
        try:
            if written is not None:
                adapter.validate_json(written, strict=strict or None)
            else:
                adapter.validate_python(data, strict=strict or None)
        except ValidationError as error:
            for each in error.errors(include_url=False, include_context=False):
                yield f"{_place(each['loc'])}: {each['msg']} (got {_quoted(each['input'])})"

    return problems


def _written(data: object) -> str | None:
    """Data as JSON; None if it cannot be written."""
    try:
        return json.dumps(data)
    except (TypeError, ValueError):
        return None


# ---- reading ------------------------------------------------------------------------------------


def json_of(text: str) -> tuple[object, str]:
    """The data of a text that is JSON, or else of its last code fence that is; and the JSON.

    Raises:
        json.JSONDecodeError: There is none.
        RecursionError: It is nested too deeply.
    """
    fences = fences_in(text)
    for candidate in (text, *reversed(fences)):
        try:
            return _loaded(candidate), candidate
        except ValueError:
            continue
    return _loaded(fences[-1] if fences else text), text  # raises again, about what was meant


def _loaded(text: str) -> object:
    def refuse(name: str) -> object:
        raise json.JSONDecodeError(f"there is no {name}", text, text.find(name))

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise json.JSONDecodeError("a number has too many digits", text, 0) from error


def _text_of(value: object) -> str | None:
    """The text that is to be JSON; None if the value is data."""
    if isinstance(value, str):
        return value
    inner = _inside(value)
    if inner is not value:
        return _text_of(inner)
    if value is None or isinstance(value, Mapping):
        return None
    registered = text_in.dispatch(type(value)) is not text_in.dispatch(object)
    return text_in(value) or "" if registered or from_model(value) else None


def _bare(value: object) -> object:
    inner = _inside(value)
    return value if inner is value else _bare(inner)


def _inside(value: object) -> object:
    """What a value wraps; itself if it is data, such as a wrapping that a model could have written.

    Else a model could have the check look at something else than what is used.
    """
    if not isinstance(value, Mapping):
        return unwrap(value)
    named = cast("Mapping[str, object]", value)
    inner = unwrap(named)
    held = named["raw"] if set(named) == RAW_SHAPE else inner
    return named if _could_be_written(held) else inner


def _could_be_written(value: object) -> bool:
    return value is None or isinstance(value, str | Mapping | Sequence | int | float)


# ---- saying -------------------------------------------------------------------------------------


def _place(path: Iterable[str | int]) -> str:
    """A path as it is written in code: `items[0].price`."""
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return written.removeprefix(".") or "at the top"


def _quoted(value: object) -> str:
    """Data as Python writes it, control characters escaped, cut to a line."""
    if isinstance(value, str):
        value = value[:_MOST_QUOTED]
    elif (
        isinstance(value, Sequence | Mapping)
        and len(cast("Sequence[object]", value)) > _MOST_QUOTED
    ):
        return f"{len(cast('Sequence[object]', value))} items"
    text = repr(cast("object", value))
    return text if len(text) <= _MOST_QUOTED else f"{text[: _MOST_QUOTED - 3]}..."


def _cut(text: str) -> str:
    clean = "".join(each if each.isprintable() else " " for each in text[:_MOST_CHARACTERS])
    return clean if len(text) <= _MOST_CHARACTERS else f"{clean[:-3]}..."


def _unreadable(error: json.JSONDecodeError) -> str:
    near = error.doc[max(0, error.pos - 20) : error.pos + 20]
    where = f"line {error.lineno}, column {error.colno}, near {near!r}"
    return _cut(f"it is not JSON: {error.msg} at {where}")
