"""One shape for every callable that can be sampled."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from thinktwice.errors import UsageError
from thinktwice.history import History, history_of
from thinktwice.sample import Completion
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from thinktwice.protocols import Options, Sampler

P = TypeVar("P")
T = TypeVar("T")

Late = "Callable[[object, BaseException | None], None]"


@dataclass(frozen=True, kw_only=True)
class Source(Generic[P, T]):
    """A sampler as a run uses it.

    Attributes:
        name: Its name among several, else its model's or its own.
        function: The callable.
        asynchronous: Its calls run on the event loop, and not on a thread.
        recallable: A call in flight can be cancelled.
        takes_options: "keyword", "positional" or "" if the callable takes the prompt alone.
        model: Model behind it.
        provider: Who serves it.
        max_tokens: Output tokens of one call at most.
        passthrough: Exceptions that leave the run unwrapped.
        leaf: The call itself is the model call; else its calls report themselves.
        refusable: They do so before they are sent.
        draws: Draws that one call makes inside (the n of a strategy).
        many: Makes several choices by one request.
        reads: From the prompt to what a call reads of it, and besides it.
        emitted: Whether somebody else opens a span for each call; None to find out.
    """

    name: str
    function: Callable[..., object]
    asynchronous: bool
    recallable: bool
    takes_options: str
    model: str | None
    provider: str | None
    max_tokens: int | None
    passthrough: tuple[type[BaseException], ...]
    leaf: bool
    draws: int
    refusable: bool = True
    many: Callable[..., object] | None = None
    reads: Callable[[P], object] | None = None
    emitted: bool | None = None

    async def complete(
        self,
        prompt: P,
        options: Options,
        late: Callable[[Completion[T] | None, BaseException | None], None] | None = None,
    ) -> Completion[T]:
        """Draw once.

        Args:
            prompt: The input.
            options: Settings of this call.
            late: Told how a call ended that could not be recalled.
        """
        if options and not self.takes_options:
            remedy = (
                f"the sampler {self.name!r} takes the prompt alone, so they would be dropped: "
                "give it a parameter `options`"
            )
            raise UsageError("options", dict(options), remedy)
        call = self._bound(prompt, options)
        if self.asynchronous:
            returned = await cast("Awaitable[object]", call())
        else:
            told = None if late is None else partial(_tell, late)
            returned = await in_thread(call, late=told)
            if inspect.isawaitable(returned):
                returned = await returned
        return as_completion(cast("Completion[T] | T", returned))

    async def several(self, prompt: P, n: int, options: Options) -> list[Completion[T]]:
        """Make n choices by one request; the first carries the usage of all.

        Returns:
            As many as the provider made.
        """
        if self.many is None:
            raise UsageError("sampler", self.name, "it has no many(prompt, n, *, options)")
        call = partial(self.many, prompt, n, options=options)
        returned = await cast("Awaitable[object]", call()) if _is_async(self.many) else None
        if returned is None:
            returned = await in_thread(call)
        return [as_completion(each) for each in cast("Iterable[Completion[T] | T]", returned)]

    @cached_property
    def history(self) -> History:
        """What past runs tell about it."""
        return history_of(self.function)

    def read(self, prompt: P) -> object:
        """What a call reads, to bound its tokens."""
        return prompt if self.reads is None else self.reads(prompt)

    def output_cap(self, options: Options) -> int | None:
        """Output tokens of one call at most, by its options, else by the sampler."""
        asked = options.get("max_tokens", self.max_tokens)
        if not isinstance(asked, int) or isinstance(asked, bool):
            return None
        return asked if asked >= 1 else None  # -1 means no cap to some servers

    def _bound(self, prompt: P, options: Options) -> Callable[[], object]:
        if self.takes_options == "keyword":
            return partial(self.function, prompt, options=options)
        if self.takes_options == "positional":
            return partial(self.function, prompt, options)
        return partial(self.function, prompt)


def as_completion(returned: Completion[T] | T) -> Completion[T]:
    """Wrap a bare value."""
    if isinstance(returned, Completion):
        return cast("Completion[T]", returned)
    return Completion(value=returned)


def as_source(sampler: Sampler[P, T], name: str | None = None) -> Source[P, T]:
    """Look at a sampler once.

    Raises:
        UsageError: It is not callable.
    """
    if not callable(sampler):
        raise UsageError("sampler", sampler, "give a callable of the prompt, sync or async")
    model = cast("str | None", getattr(sampler, "model", None))
    own = getattr(sampler, "__name__", None) or type(sampler).__name__
    control: type[BaseException] | Iterable[type[BaseException]] = getattr(
        sampler, "passthrough", ()
    )
    asynchronous = _is_async(sampler)
    return Source(
        name=name or model or own,
        function=sampler,
        asynchronous=asynchronous,
        recallable=asynchronous and getattr(sampler, "recallable", True),
        takes_options=_takes_options(sampler),
        model=model if isinstance(model, str) else None,
        provider=getattr(sampler, "provider", None),
        max_tokens=getattr(sampler, "max_tokens", None),
        passthrough=(control,) if isinstance(control, type) else tuple(control),
        leaf=getattr(sampler, "leaf", True),
        draws=getattr(sampler, "draws", 1),
        refusable=getattr(sampler, "refusable", True),
        many=_many(sampler),
        reads=getattr(sampler, "reads", None),
        emitted=getattr(sampler, "emitted", None),
    )


def as_sources(
    sampler: Sampler[P, T] | Mapping[str, Sampler[P, T]],
) -> dict[str, Source[P, T]]:
    """The samplers of a run by name; the first is the default.

    Raises:
        UsageError: None, or one that is not callable.
    """
    if not isinstance(sampler, _mapping()):
        source = as_source(cast("Sampler[P, T]", sampler))
        return {source.name: source}
    named = cast("Mapping[str, Sampler[P, T]]", sampler)
    if not named:
        raise UsageError("sampler", named, "give at least one sampler")
    return {name: as_source(each, name) for name, each in named.items()}


def _many(sampler: object) -> Callable[..., object] | None:
    many = getattr(sampler, "many", None)
    if many is None or callable(many):
        return many
    raise UsageError("many", many, "give a method many(prompt, n, /, *, options), or leave it out")


def _mapping() -> type:
    from collections.abc import Mapping

    return Mapping


def _tell(
    late: Callable[[Completion[T] | None, BaseException | None], None],
    returned: object,
    error: BaseException | None,
) -> None:
    known = None if error is not None or inspect.isawaitable(returned) else returned
    late(None if known is None else as_completion(cast("T", known)), error)


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is looked at
    )


def _takes_options(function: Callable[..., object]) -> str:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin that hides its signature
        return ""
    for parameter in parameters[1:]:
        if parameter.name == "options":
            positional = parameter.kind is inspect.Parameter.POSITIONAL_ONLY
            return "positional" if positional else "keyword"
    second = parameters[1] if len(parameters) > 1 else None
    if second is None or second.default is not inspect.Parameter.empty:
        return ""
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return "positional" if second.kind in plain else ""
