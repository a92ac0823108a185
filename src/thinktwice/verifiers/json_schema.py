"""JSON Schema by the library `jsonschema`: nothing is fetched, and patterns take linear time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from thinktwice.errors import TypeOf, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Found: TypeAlias = "Iterator[ValidationError]"


def validator_of(schema: Mapping[str, object]) -> Validator:
    """The validator of a schema, by the draft that it names; by default 2020-12.

    Raises:
        UsageError: `jsonschema` is not installed; or the schema is none, or refers to what is not
            in it.
    """
    try:
        from jsonschema import exceptions, validators
    except ImportError as error:
        remedy = "JSON Schema needs an extra: pip install 'thinktwice[schema]'"
        raise UsageError("schema", TypeOf(schema), remedy) from error
    library: Any = validators
    draft = library.validator_for(schema, default=library.Draft202012Validator)
    try:
        draft.check_schema(schema)
    except exceptions.SchemaError as error:
        remedy = f"it is no JSON Schema: at {error.json_path}, {error.message[:200]}"
        raise UsageError("schema", schema, remedy) from error
    registry = _closed(schema, draft.META_SCHEMA["$schema"])
    validator = library.extend(draft, _matching(draft.VALIDATORS))(schema, registry=registry)
    try:
        validator.is_valid(None)
    except RecursionError as error:  # else it would be taken for a fault of the data
        remedy = "it refers to itself without end: put a part of the data in between"
        raise UsageError("schema", schema, remedy) from error
    return validator


def _closed(schema: Mapping[str, object], dialect: str) -> object:
    """A registry that knows the schema and fetches nothing, once all that it refers to is there."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
    from referencing import Registry, exceptions
    from referencing.jsonschema import specification_with

    root = specification_with(dialect).create_resource(cast("Any", schema))
    known: Registry[Any] = REGISTRY
    registry = known.with_resource(root.id() or "", root).crawl()
    pending = [(root, registry.resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        if not isinstance(resource.contents, Mapping):
            continue
        part = cast("Mapping[str, object]", resource.contents)
        _check_patterns(part)
        for reference in (part.get("$ref"), part.get("$dynamicRef")):
            if isinstance(reference, str):
                try:
                    resolver.lookup(reference)
                except (exceptions.Unresolvable, ValueError) as error:
                    remedy = "it refers to what is not in it, and nothing is fetched: put it in"
                    raise UsageError("schema", reference, remedy) from error
        pending += [(each, resolver.in_subresource(each)) for each in resource.subresources()]
    return registry


# ---- patterns -----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text has a match of a pattern, in time linear in the text.

    By the engine of pydantic; one with look-around or back-references is not for that engine, and
    matched by `re`, whose time may be exponential.

    Raises:
        UsageError: It is no pattern.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        validate = SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python
    except SchemaError:
        try:
            search = re.compile(pattern).search
        except re.error as error:
            raise UsageError("pattern", pattern, f"it is none: {error.msg}") from error
        return lambda text: search(text) is not None
    return validate


def _check_patterns(schema: Mapping[str, object]) -> None:
    pattern, named = schema.get("pattern"), schema.get("patternProperties")
    if isinstance(pattern, str):
        matcher(pattern)
    for each in cast("Mapping[str, object]", named) if isinstance(named, Mapping) else ():
        matcher(each)


def _matching(keywords: Mapping[str, Callable[..., Found | None]]) -> dict[str, object]:
    """The keywords that match patterns, by `matcher`."""
    others = partial(_others, keywords["additionalProperties"])
    return {"pattern": _pattern, "patternProperties": _named, "additionalProperties": others}


def _pattern(_: Validator, given: str, found: object, __: object) -> Found:
    from jsonschema.exceptions import ValidationError

    if isinstance(found, str) and not matcher(given)(found):
        yield ValidationError(f"{found!r} does not match {given!r}")


def _named(by: Validator, given: Mapping[str, object], found: object, _: object) -> Found:
    """Properties whose names match a pattern are as its schema says."""
    descend: Callable[..., Found] = cast("Any", by).descend
    for name, value in _entries(found):
        for each, part in given.items():
            if matcher(each)(name):
                yield from descend(value, part, path=name, schema_path=each)


def _others(
    judge: Callable[..., Found | None],
    by: Validator,
    given: object,
    found: object,
    schema: Mapping[str, Mapping[str, object]],
) -> Found:
    """The library judges what neither a name nor a pattern stands for."""
    if patterns := [matcher(each) for each in schema.get("patternProperties", ())]:
        known = (name for name, _ in _entries(found) if any(has(name) for has in patterns))
        schema = {"properties": {**dict.fromkeys(known, True), **schema.get("properties", {})}}
    yield from judge(by, given, found, schema) or ()


def _entries(found: object) -> Iterable[tuple[str, object]]:
    return cast("Mapping[str, object]", found).items() if isinstance(found, dict) else ()
