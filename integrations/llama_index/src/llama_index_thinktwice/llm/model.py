"""A strategy over an LLM, as an LLM."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Unpack, cast

from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.settings import Settings as LlamaSettings
from pydantic import BaseModel, Field, PrivateAttr, SerializeAsAny

from llama_index_thinktwice.keys import with_key
from llama_index_thinktwice.llm.answering import response_of
from llama_index_thinktwice.llm.calls import AsyncCalls, BlockingCalls, blocks, draws_of
from llama_index_thinktwice.llm.checking import check_call, check_llm
from llama_index_thinktwice.llm.native import AsyncChoices, BlockingChoices
from llama_index_thinktwice.llm.prompting import LLMPrompting
from llama_index_thinktwice.llm.sameness import IN_OPTIONS, warn_of_sameness
from llama_index_thinktwice.llm.structured import SETTINGS, ParsedKey, stand_in
from llama_index_thinktwice.llm.telling import told_below
from llama_index_thinktwice.llm.whole import WholeAnswers
from llama_index_thinktwice.settings import Settings
from llama_index_thinktwice.solver import Solver
from thinktwice import Strategy, UsageError
from thinktwice.errors import TypeOf
from thinktwice.history import History
from thinktwice.remarks import tell_once
from thinktwice.workflow import ledger_around

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
    from llama_index.core.llms.llm import ToolSelection
    from llama_index.core.prompts import PromptTemplate
    from llama_index.core.tools.types import BaseTool

    from llama_index_thinktwice.llm.calls import LLMResponse, Prompt
    from thinktwice import Result
    from thinktwice.protocols import Options
    from thinktwice.shadow import Shadow

_PROMPTING: Final = LLMPrompting()
_OF_THE_LLM: Final = frozenset({"callback_manager", "rate_limiter"})
_EVERYWHERE: Final = (
    "a StrategyLLM without a budget is Settings.llm, so that each LLM call which LlamaIndex makes "
    "by itself draws several samples: give it budget=Budget(...), or give it only to what should "
    "think twice, as in as_query_engine(llm=...)"
)
_NO_TOOLS: Final = "it calls no functions: give an LLM that does, or use a ReActAgent"


class StrategyLLM(WholeAnswers):
    """An LLM that draws several samples of another and answers with one response.

    For everything that takes an LLM: `as_query_engine(llm=...)`, agents, `structured_predict`,
    `Settings.llm`. Async methods call async methods of the LLM; sync ones sync ones, on threads.
    What callers pass to a call (`tools`, `stop`, ...) reaches every sample. A stream has one chunk,
    the answer.

    Each call of the LLM is booked before it is sent, so that a budget refuses what it does not
    afford. Callbacks and events tell of these calls, and of no call of this LLM itself.

    The answer is the chosen sample, with its own `raw`. Its `additional_kwargs` have a summary
    under "thinktwice", and the tokens of all calls as `prompt_tokens`, `completion_tokens` and
    `total_tokens`. Where all samples abstain, it is the first of them as it came, and its summary
    has `"abstained": True`.

    Attributes:
        llm: The LLM that is sampled.
        strategy: What to draw and which of it to return; its verifiers get responses.
        options: Keyword arguments of every call, or a function of the sample's index; they go over
            those of the caller.
        native_n: Make samples that are launched together by one request.
    """

    thinktwice_composite: ClassVar[bool] = True

    llm: SerializeAsAny[LLM] = Field(exclude=True, repr=False)
    strategy: Any = Field(exclude=True)
    options: Any = Field(default=None, exclude=True, repr=False)  # values may be secret
    native_n: bool = Field(default=False, exclude=True)
    _settings: Settings = PrivateAttr()
    _solver: Solver = PrivateAttr()
    _history: History = PrivateAttr(default_factory=History)

    def __init__(
        self,
        *,
        llm: LLM,
        strategy: Strategy,
        options: Options | Callable[[int], Options] | None = None,
        native_n: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        """Check what can be seen before anything is drawn.

        Args:
            llm: The LLM to sample.
            strategy: What to draw and which of it to return.
            options: Keyword arguments of every call, or a function of the sample's index.
            native_n: Make samples that are launched together by one request, so that the prompt is
                paid for once: for `OpenAI` and what is derived from it.
            **settings: See `Settings`.

        Raises:
            UsageError: A parameter makes no sense.
        """
        check_llm(llm, strategy, options, native_n=native_n)
        solver = Solver(strategy, refuses=True, **settings)
        warn_of_sameness(llm, strategy, options, remedy=IN_OPTIONS)
        kept: dict[str, Any] = {
            name: getattr(llm, name, None) for name in (*SETTINGS, "callback_manager")
        }
        kept |= {"llm": llm, "strategy": strategy, "options": options, "native_n": native_n}
        super().__init__(**kept)
        self._settings = {**settings, "shadow": solver.shadow}
        self._solver = solver

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - pydantic's signature
        """Set an attribute; callbacks and rate limits are the LLM's, whose calls they concern."""
        super().__setattr__(name, value)
        if name in _OF_THE_LLM:
            setattr(self.llm, name, value)

    @classmethod
    def class_name(cls) -> str:
        """Name in payloads."""
        return "StrategyLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """That of the LLM."""
        return self.llm.metadata

    @property
    def draws(self) -> int:
        """Samples for one answer at the most; those of strategies further inside multiply."""
        return (self.strategy.draws or 1) * draws_of(self.llm)

    @property
    def shadow(self) -> Shadow | None:
        """What runs behind the requests, if anything does; see its `report`."""
        return self._solver.shadow

    # ---- answers --------------------------------------------------------------------------------

    def _answer(self, prompt: Prompt, given: dict[str, Any]) -> LLMResponse:
        sampler, solver = self._sampler(given, awaits=False), self._solving()
        options = self.options
        result: Result[Any] = solver.solve_sync(
            prompt, sampler, prompting=_PROMPTING, options=options
        )
        return response_of(result, shadowed=solver.shadow is not None)

    async def _aanswer(self, prompt: Prompt, given: dict[str, Any]) -> LLMResponse:
        sampler, solver = self._sampler(given, awaits=True), self._solving()
        options = self.options
        result: Result[Any] = await solver.solve(
            prompt, sampler, prompting=_PROMPTING, options=options
        )
        return response_of(result, shadowed=solver.shadow is not None)

    def _sampler(self, given: dict[str, Any], *, awaits: bool) -> Any:  # noqa: ANN401 - of four kinds
        check_call(given)
        if awaits and not blocks(self.llm):
            kind = AsyncChoices if self.native_n else AsyncCalls
        else:
            kind = BlockingChoices if self.native_n else BlockingCalls
        return kind(self.llm, given, self._history)

    def _solving(self) -> Solver:
        """The solver; a new one where the strategy of a copy is another."""
        if self._solver.strategy is not self.strategy:
            self._solver = Solver(self.strategy, refuses=True, **self._settings)
        everywhere = LlamaSettings._llm is self  # pyright: ignore[reportPrivateUsage]
        if everywhere and self._solver.budget is None and ledger_around() is None:
            tell_once(_EVERYWHERE)
        return self._solver

    # ---- tools, in the LLM's own format ---------------------------------------------------------

    @told_below
    def _prepare_chat_with_tools(  # noqa: PLR0917 - LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: FBT001, FBT002
        allow_parallel_tool_calls: bool = False,  # noqa: FBT001, FBT002
        tool_required: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> dict[str, Any]:
        return self._calling()._prepare_chat_with_tools_compat(  # pyright: ignore[reportPrivateUsage]
            tools,
            user_msg=user_msg,
            chat_history=chat_history,
            verbose=verbose,
            allow_parallel_tool_calls=allow_parallel_tool_calls,
            tool_required=tool_required,
            **kwargs,
        )

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> ChatResponse:
        validate = self._calling()._validate_chat_with_tools_response  # pyright: ignore[reportPrivateUsage]
        return validate(
            response, tools, allow_parallel_tool_calls=allow_parallel_tool_calls, **kwargs
        )

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[ToolSelection]:
        """As the LLM finds them."""
        return self._calling().get_tool_calls_from_response(
            response, error_on_no_tool_call=error_on_no_tool_call, **kwargs
        )

    def _calling(self) -> FunctionCallingLLM:
        """The LLM, if it calls functions.

        Raises:
            UsageError: It does not.
        """
        if not isinstance(self.llm, FunctionCallingLLM):
            raise UsageError("llm", TypeOf(self.llm), _NO_TOOLS)
        return self.llm

    # ---- structured output, by the LLM's own methods --------------------------------------------
    # Where the strategy has no key of its own, responses count by what is parsed of them.

    @told_below
    def structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:  # noqa: ANN401 - as in LlamaIndex
        """As the LLM does, by samples of what is parsed."""
        own = self._parsing(output_cls).structured_predict
        return own(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)

    @told_below
    async def astructured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Any:  # noqa: ANN401 - as in LlamaIndex
        """As the LLM does, by samples of what is parsed."""
        own = self._parsing(output_cls).astructured_predict
        return await own(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)

    @told_below
    def stream_structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        """As the LLM does, by samples of what is parsed; the answer comes whole."""
        own = self._parsing(output_cls).stream_structured_predict
        return own(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)

    @told_below
    async def astream_structured_predict(
        self,
        output_cls: type[BaseModel],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        """As the LLM does, by samples of what is parsed; the answer comes whole."""
        own = self._parsing(output_cls).astream_structured_predict
        return await own(output_cls, prompt, dict(llm_kwargs or {}), **prompt_args)

    def _parsing(self, output_cls: type[BaseModel]) -> LLM:
        """The LLM, asked through this one, with votes on objects of a class."""
        strategy, asked = self.strategy, self
        if strategy.key is None and is_dataclass(strategy):
            keyed = with_key(cast("Strategy", strategy), ParsedKey(output_cls, self.llm))
            asked = self.model_copy(update={"strategy": keyed})
        return stand_in(self.llm, asked)
