"""What is sampled: rewrites by an LLM, or by another transform."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.schema import QueryBundle

from llama_index_thinktwice.llm.calls import AsyncCalls, BlockingCalls, blocks, draws_of
from llama_index_thinktwice.solver import AsyncDrawing, either
from llama_index_thinktwice.transforms.prompting import revised_text, written
from llama_index_thinktwice.transforms.rewrite import original, transformed
from thinktwice import Completion, UsageError
from thinktwice.calls import call
from thinktwice.errors import TypeOf
from thinktwice.scope import current_scope
from thinktwice.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llama_index.core.llms import LLM
    from llama_index.core.prompts import BasePromptTemplate

    from llama_index_thinktwice.transforms.rewrite import Placing, Rewrite
    from thinktwice.history import History
    from thinktwice.protocols import Options

    Made: TypeAlias = str | QueryBundle
    Transform: TypeAlias = BaseQueryTransform | Callable[[QueryBundle], Made | Awaitable[Made]]

_NO_BUNDLE: Final = "it returned {}: return a QueryBundle (or, from a function, its text)"


class First:
    """The original question as the first draw of a run, which takes no call."""

    def __init__(self, question: QueryBundle) -> None:
        """Remember where the run is made: strategies inside it have first draws of their own."""
        around = current_scope()
        self._path = f"{around.path}/sample:0" if around is not None else "sample:0"
        self._rewrite = original(question)

    def taken(self) -> Rewrite | None:
        """The question, in the scope of the first draw."""
        scope = current_scope()
        if scope is None or scope.path != self._path:
            return None
        scope.release()  # what it held for a call, which would else count as one that nobody saw
        return self._rewrite


class LLMDrawing:
    """Draws by an LLM: its calls are booked before they are sent, so that a budget refuses them.

    Attributes:
        leaf: False: calls are booked one by one, and the original question is none.
        recallable: Whether a call can be cancelled.
        draws: Draws that a strategy in the LLM makes for one rewrite.
        history: What past requests tell about its latencies.
    """

    leaf = False

    def __init__(
        self,
        llm: LLM,
        template: BasePromptTemplate,
        metadata: Mapping[str, Any],
        *,
        placing: Placing,
        history: History,
        first: First | None,
        blocking: bool,
    ) -> None:
        """Draw on behalf of one request."""
        self.history = history
        self.draws = draws_of(llm)
        self.recallable = not (blocking or blocks(llm))
        self._llm = llm
        self._template = template
        self._metadata = metadata
        self._placing = placing
        self._first = first
        given = {} if llm.metadata.is_chat_model else {"formatted": True}
        calls = AsyncCalls if self.recallable else BlockingCalls
        self._calls = calls(llm, given, history)

    async def __call__(
        self, prompt: QueryBundle, /, *, options: Options
    ) -> Completion[Rewrite | None]:
        """Draw once; an empty rewrite abstains."""
        if self._first is not None and (question := self._first.taken()) is not None:
            return Completion(value=question)
        asked = written(self._llm, self._template, prompt, self._metadata)
        scope = current_scope()
        role = "sample" if scope is None else scope.role
        completion = await call(self._calls, asked, role=role, options=options)
        rewrite = self._placing.placed(completion.text or "", prompt)
        return replace(cast("Completion[Any]", completion), value=rewrite, text=None)


def transform_drawing(
    transform: Transform,
    metadata: Mapping[str, Any],
    *,
    placing: Placing,
    history: History,
    first: First | None,
    blocking: bool,
) -> AsyncDrawing[QueryBundle, Rewrite | None]:
    """A sampler that draws by another transform, on behalf of one request."""

    async def draw(prompt: QueryBundle) -> Rewrite | None:
        if first is not None and (question := first.taken()) is not None:
            return question
        given = _given(prompt)
        made = await _made(transform, given, metadata)
        if isinstance(made, str) and not isinstance(transform, BaseQueryTransform):
            return placing.placed(made, prompt)
        return transformed(checked_bundle(made, transform), given, prompt)

    drawing: AsyncDrawing[QueryBundle, Rewrite | None] = AsyncDrawing(
        draw, history, draws=getattr(transform, "draws", None) or 1
    )
    drawing.recallable = not blocking
    return drawing


def _given(prompt: QueryBundle) -> QueryBundle:
    """What another transform gets: the question, with feedback in its text alone.

    It has no embedding, so that none of another text can come out.
    """
    return QueryBundle(
        revised_text(prompt.query_str, prompt),
        image_path=prompt.image_path,
        custom_embedding_strs=list(prompt.embedding_strs),
    )


async def _made(transform: Transform, given: QueryBundle, metadata: Mapping[str, Any]) -> object:
    if isinstance(transform, BaseQueryTransform):
        sync, asynchronous = (
            lambda: transform.run(given, dict(metadata)),
            lambda: atransformed(transform, given, dict(metadata)),
        )
        return await either(sync, asynchronous)
    if _is_async(transform):
        return await cast("Awaitable[object]", transform(given))
    made = await in_thread(lambda: transform(given))
    return await made if inspect.isawaitable(made) else made


async def atransformed(
    transform: BaseQueryTransform,
    query: QueryBundle,
    metadata: dict[str, Any] | None,
    parameter: str = "transform",
) -> QueryBundle:
    """What a transform makes of a query: by its `arun`, or by `run` on a thread.

    Args:
        transform: The transform.
        query: The query.
        metadata: For the transform.
        parameter: What the transform was given as.

    Raises:
        UsageError: It is no bundle.
    """
    arun = getattr(transform, "arun", None)
    if arun is not None:
        return checked_bundle(await arun(query, metadata), transform, parameter)
    made = await in_thread(lambda: transform.run(query, metadata))
    return checked_bundle(made, transform, parameter)


def checked_bundle(made: object, transform: object, parameter: str = "transform") -> QueryBundle:
    """What a transform returned.

    Raises:
        UsageError: It is no bundle.
    """
    if isinstance(made, QueryBundle):
        return made
    raise UsageError(parameter, TypeOf(transform), _NO_BUNDLE.format(TypeOf(made)))


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )


def check_transform(transform: object, *, llm: object, prompt: object) -> None:
    """Refuse what makes no rewrites, and what it would not use.

    Raises:
        UsageError: As above.
    """
    if not callable(transform) or isinstance(transform, type):
        remedy = "give a query transform, or a function of a QueryBundle"
        raise UsageError("transform", transform, remedy)
    for name, given in (("llm", llm), ("prompt", prompt)):
        if given is not None:
            remedy = "what transform= makes its rewrites with is its own: leave out one of the two"
            raise UsageError(name, TypeOf(given), remedy)
