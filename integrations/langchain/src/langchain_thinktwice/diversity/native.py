"""Several choices by one request to a chat model: the prompt is paid for once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableBinding
from langchain_core.runnables.configurable import RunnableConfigurableFields
from langchain_core.runnables.utils import Input, Output

from langchain_thinktwice.accounting.usage import read_reply
from langchain_thinktwice.samples import AsyncDrawing, BlockingDrawing, completion
from langchain_thinktwice.tree import replaced, unit_of, walk
from thinktwice import Completion, UsageError
from thinktwice.errors import http_status
from thinktwice.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_thinktwice.tree import AnyRunnable
    from thinktwice.history import History
    from thinktwice.protocols import Options
    from thinktwice.vary import Vary

_LAYERS: Final = (BaseChatModel, RunnableBinding, RunnableConfigurableFields)
_REFUSED: Final = frozenset({400, 422})

REFUSED: Final = (
    "the model or its provider refused a request for several choices, so each sample is a request "
    "of its own from now on, and pays for the prompt again"
)


def check_native(bound: AnyRunnable, options: object, vary: Vary | None, *, native_n: bool) -> None:
    """Refuse native n where one request cannot stand for several samples.

    Raises:
        UsageError: What is sampled is more than a chat model, it streams, or samples differ in
            what they ask for.
    """
    if not native_n:
        return
    from langchain_core.runnables.retry import RunnableRetry  # which loads tenacity, tornado, ...

    unit, layers = unit_of(bound), (*_LAYERS, RunnableRetry)
    if unit is None or not all(isinstance(layer, layers) for layer in walk(bound)):
        remedy = (
            "only a chat model, with what is bound to it, returns several choices; "
            f"{bound.get_name()!r} makes one answer of them: put the wrapper around the model, "
            "vote(model, native_n=True), and the rest behind it"
        )
        raise UsageError("native_n", native_n, remedy)
    if getattr(unit.model, "streaming", False):
        remedy = "a stream is read as one choice: leave streaming=True out"
        raise UsageError("native_n", native_n, remedy)
    if callable(options) or vary is not None:
        remedy = "one request has one prompt and one set of options: they cannot vary by sample"
        raise UsageError("native_n", native_n, remedy)
    if "n" in {**unit.kwargs, **cast("Mapping[str, object]", options or {})}:
        raise UsageError("native_n", native_n, "leave n= out of what is bound and of options=")


class AsyncChoices(AsyncDrawing[Input, Output]):
    """Draws by `ainvoke`, and several at once by one request."""

    async def many(
        self, prompt: Input, n: int, /, *, options: Options
    ) -> Sequence[Completion[Output]]:
        """Draw up to n times, as one child run."""
        request = _Request(self._bound, self._config, self._kwargs, n)
        drawing = AsyncDrawing(request.bound, request.config, request.kwargs, self.history)
        try:
            first = await drawing(prompt, options=options)
        except Exception as error:
            if not _is_refusal(error):
                raise
            _ask_singly(self.history)
            return [await self(prompt, options=options)]
        return request.choices(first)


class BlockingChoices(BlockingDrawing[Input, Output]):
    """Draws by `invoke`, and several at once by one request."""

    def many(self, prompt: Input, n: int, /, *, options: Options) -> Sequence[Completion[Output]]:
        """Draw up to n times, as one child run."""
        request = _Request(self._bound, self._config, self._kwargs, n)
        drawing = BlockingDrawing(request.bound, request.config, request.kwargs, self.history)
        try:
            first = drawing(prompt, options=options)
        except Exception as error:
            if not _is_refusal(error):
                raise
            _ask_singly(self.history)
            return [self(prompt, options=options)]
        return request.choices(first)


class _Request(BaseCallbackHandler):
    """One call of a model for n choices, and what it brought.

    `invoke` returns the first choice alone; the others are in the result that callbacks get.
    """

    run_inline = True

    def __init__(
        self,
        bound: Runnable[Input, Output],
        config: RunnableConfig,
        kwargs: Mapping[str, Any],
        n: int,
    ) -> None:
        self.bound = cast("Runnable[Input, Output]", _unstreamed(bound))
        self.kwargs = {**kwargs, "n": n}
        manager = cast("BaseCallbackManager", config.get("callbacks")).copy()
        manager.add_handler(self)
        self.config: RunnableConfig = {**config, "callbacks": manager}
        self._result: LLMResult | None = None
        self._cached = False

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        self._result, self._cached = response, read_reply(response, run_id).cached

    def choices(self, first: Completion[Output]) -> list[Completion[Output]]:
        made = [] if self._result is None else self._result.generations[0]
        messages = [cast("Any", each).message for each in made]
        if not messages or messages[0] is not first.value:  # a step made something else of it
            return [first]
        others = (completion(cast("Output", each), None) for each in messages[1:])
        return [first, *(replace(each, cached=self._cached) for each in others)]


def _unstreamed(bound: AnyRunnable) -> AnyRunnable:
    """With a copy of its model that streams for nobody: chunks of choices would be mixed up."""
    unit = unit_of(bound)
    assert unit is not None  # noqa: S101 - `check_native` has looked
    model = unit.model.model_copy(update={"disable_streaming": True})
    return replaced(bound, unit.model, model)


def _is_refusal(error: Exception) -> bool:
    """The model takes no n, or its provider does not."""
    return isinstance(error, TypeError) or http_status(error) in _REFUSED


def _ask_singly(history: History) -> None:
    """From now on, and say so."""
    history.single = True
    if (scope := current_scope()) is not None:
        scope.remarks.append(REFUSED)
