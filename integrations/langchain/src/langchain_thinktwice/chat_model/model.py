"""A strategy over a chat model, as a chat model."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import is_dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables.utils import ConfigurableFieldSpec, get_unique_config_specs
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import Field, PrivateAttr

from langchain_thinktwice import config as configs
from langchain_thinktwice.chat_model.answering import Counted, check_chat, message_of
from langchain_thinktwice.chat_model.rebinding import ParsedKey, parser_of, rebound
from langchain_thinktwice.chat_model.relaying import below, beside
from langchain_thinktwice.chat_model.whole import WholeAnswers, config_now, uncalled
from langchain_thinktwice.composite import MODEL_TYPE, Composite
from langchain_thinktwice.detached import detached
from langchain_thinktwice.shadow.runnable import wrapped
from langchain_thinktwice.tracing import emitters, inside, llm_spans
from langchain_thinktwice.wrap import with_key
from thinktwice import Strategy, UsageError
from thinktwice.limiter import DEFAULT_CONCURRENCY
from thinktwice.shadow import as_shadow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from langchain_core.callbacks.manager import BaseRunManager
    from langchain_core.language_models.base import LangSmithParams
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool

    from langchain_thinktwice.runnable import StrategyRunnable

_HANDED = (
    *("bound", "strategy", "budget", "options", "prices", "max_concurrency", "limiter"),
    *("on_exhausted", "require_budget", "configurable_prefix", "llm_spans", "native_n", "shadow"),
    "name",
)
"""Fields that its wrapper has as well."""
_KEPT = ("configurable", "max_concurrency", "recursion_limit")
_BY_FIELD: Any = None
"""For LangChain, which makes a configured copy by the names of the fields: `bound`, `strategy`."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class StrategyChatModel(  # pyright: ignore[reportIncompatibleMethodOverride] - of batches, as Runnable
    Composite[LanguageModelInput, AIMessage], WholeAnswers
):
    """A chat model that draws several samples of another and answers with one message.

    For what insists on a `BaseChatModel`. Where a `Runnable` will do, `vote` and its like show
    more: the samples in every tracer, and the result.

    By default no callback handler of the request sees the runs of the samples, and `usage_metadata`
    of the answer is the sum of all calls, those of judges included. With `trace_samples=True` they
    are children of this model's run, and `usage_metadata` is that of the sample that was chosen:
    who adds up all model runs of a trace then counts that sample twice.

    Where all samples abstain, the answer is the first of them as it came: cut short, refused, or
    with invalid tool calls, as it says itself. Its summary has `"abstained": True`.

    Attributes:
        bound: The chat model that is sampled.
        strategy: What to draw and which of it to return; its verifiers get messages.
        trace_samples: Show the runs of the samples to the request's callback handlers.
        usage: What `usage_metadata` of the answer counts: "total" or "selected"; None for
            "selected" where the samples are traced, and else "total".
        budget: Hard caps of one call. For this and all that follows see `Settings`.
        options: Settings of every call of the model, or a function of the sample's index.
        prices: USD per million tokens by model.
        max_concurrency: Samples in flight at most.
        limiter: A cap shared with other requests.
        on_exhausted: What to do when a budget cuts the run short: "best" or "raise".
        require_budget: Refuse to run without a budget.
        configurable_prefix: Of the keys that a request may set in `configurable`.
        llm_spans: Whether to open an OpenTelemetry span for each model call.
        native_n: Make samples that are launched together by one request.
        shadow: A share of the requests: callers get what the model itself returns.
    """

    bound: BaseChatModel
    strategy: Strategy
    trace_samples: bool = False
    usage: Counted | None = None
    budget: Any = None
    options: Any = Field(default=None, repr=False)  # values may be secret
    prices: Any = None
    max_concurrency: int = DEFAULT_CONCURRENCY
    limiter: Any = None
    on_exhausted: Any = "best"
    require_budget: bool = False
    configurable_prefix: str = configs.PREFIX
    llm_spans: Any = "auto"
    native_n: bool = False
    shadow: Any = None
    _kept: StrategyRunnable[Any, Any] = PrivateAttr()
    _mark: str = PrivateAttr(default_factory=lambda: uuid4().hex)

    def __init__(
        self,
        model: BaseChatModel = _BY_FIELD,
        strategy: Strategy = _BY_FIELD,
        *,
        trace_samples: bool = False,
        usage: Counted | None = None,
        **settings: Any,
    ) -> None:
        """Check what can be seen before anything is drawn.

        Args:
            model: The chat model to sample.
            strategy: What to draw and which of it to return.
            trace_samples: Show the runs of the samples to the request's callback handlers.
            usage: What `usage_metadata` of the answer counts: "total" or "selected".
            **settings: The other attributes, and those of any chat model: `callbacks`, `tags`, ...

        Raises:
            UsageError: A parameter makes no sense.
        """
        fields: dict[str, Any] = {"bound": model, **settings, "strategy": strategy}
        fields |= {"trace_samples": trace_samples, "usage": usage}
        fields["shadow"] = as_shadow(fields.get("shadow"))
        check_chat(fields, known=set(type(self).model_fields))
        wrapper = wrapped(**_handed(fields))
        fields.setdefault("profile", getattr(fields["bound"], "profile", None))
        super().__init__(**fields)
        self._kept = wrapper

    # ---- what it looks like ---------------------------------------------------------------------

    @property
    def draws(self) -> int:
        """Samples of the model for one answer at the most."""
        return self._wrapped().draws

    @property
    def model_name(self) -> str | None:
        """That of the model."""
        return self.bound._get_ls_params().get("ls_model_name")

    @property
    def _llm_type(self) -> str:
        return f"{MODEL_TYPE}{self.strategy.name}-{self.bound._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        inner = dict(self.bound._identifying_params)
        over = f" over {inner['thinktwice']}" if "thinktwice" in inner else ""
        return {**inner, "thinktwice": f"{self.strategy!r}{over}"}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.bound._get_ls_params(stop=stop, **kwargs)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The key of a cached answer: all that could make it another one."""
        asked = config_now().get("configurable", {})
        request = [asked.get(f"{self.configurable_prefix}{name}") for name in ("n", "budget")]
        settings = (self.strategy, self.options, self.budget, self.on_exhausted, request)
        shown = repr((*settings, self._counted, self.shadow is None))
        if _ADDRESS.search(shown):  # of a function: another may come to stand there
            shown += self._mark
        inner = self.bound._get_llm_string(stop=stop, **kwargs)
        return f"{self._llm_type}-{sha256(shown.encode()).hexdigest()}---{inner}"

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """Those of the model, and the n and budget of a request."""
        own = configs.specs(self.configurable_prefix)
        return get_unique_config_specs([*self.bound.config_specs, *own])

    def get_token_ids(self, text: str) -> list[int]:
        """As the model counts."""
        return self.bound.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """As the model counts."""
        return self.bound.get_num_tokens(text)

    def get_num_tokens_from_messages(self, *args: Any, **kwargs: Any) -> int:
        """As the model counts."""
        return self.bound.get_num_tokens_from_messages(*args, **kwargs)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The same strategy over the model with tools, formatted as that one does."""
        chosen = {} if tool_choice is None else {"tool_choice": tool_choice}
        return rebound(self.bound.bind_tools(tools, **chosen, **kwargs), self._over)

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """The same strategy over the model with structured output, by that one's own methods.

        Where the strategy has no key of its own, messages count by what is parsed of them.
        """
        made = self.bound.with_structured_output(schema, include_raw=include_raw, **kwargs)
        strategy = self.strategy
        if strategy.key is None and is_dataclass(strategy):
            strategy = with_key(strategy, ParsedKey(parser_of(made)))
        return rebound(made, lambda model: self._over(model, strategy))

    def _over(self, model: BaseChatModel, strategy: Strategy | None = None) -> StrategyChatModel:
        strategy = strategy or self.strategy
        if model is self.bound and strategy is self.strategy:
            return self
        copy = self.model_copy(update={"bound": model, "strategy": strategy})
        vars(copy).pop("_serialized", None)  # LangChain keeps there how it looked before
        return copy

    # ---- what it does ---------------------------------------------------------------------------

    def _answer(
        self, messages: list[BaseMessage], run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        with self._below(run, kwargs) as config:
            output = self._wrapped().invoke(messages, config, **kwargs)
        return self._message(output, run)

    async def _aanswer(
        self, messages: list[BaseMessage], run: BaseRunManager | None, kwargs: dict[str, Any]
    ) -> AIMessage:
        with self._below(run, kwargs) as config:
            output = await self._wrapped().ainvoke(messages, config, **kwargs)
        return self._message(output, run)

    @property
    def _counted(self) -> Counted:
        return self.usage or ("selected" if self.trace_samples else "total")

    def _wrapped(self) -> StrategyRunnable[Any, Any]:
        """The wrapper that draws; a new one if a field of a copy is no longer as it was."""
        if any(getattr(self, name) is not getattr(self._kept, name) for name in _HANDED):
            self._kept = wrapped(**_handed({name: getattr(self, name) for name in _HANDED}))
        return self._kept

    @contextmanager
    def _below(
        self, run: BaseRunManager | None, kwargs: Mapping[str, Any]
    ) -> Generator[RunnableConfig]:
        """A block below the model's own run, and the config for what is called there."""
        if (kwargs.get("n") or 1) != 1:
            remedy = "it answers with one message: n samples are the strategy's to draw"
            raise UsageError("n", kwargs["n"], remedy)
        known = config_now().items()
        config = cast("RunnableConfig", {k: each for k, each in known if k in _KEPT})
        with inside(run), uncalled():
            # A shadow changes nothing for callers: the model's run stands for its only call.
            if self.trace_samples and self.shadow is None:
                yield config if run is None else {**config, "callbacks": below(run)}
                return
            with detached(), _told_already(run):
                yield {**config, "callbacks": [] if run is None else beside(run)}

    def _message(self, output: Any, run: BaseRunManager | None) -> AIMessage:  # noqa: ANN401 - with or without a result
        message = output if self.shadow is not None else message_of(output, self._counted)
        if run is not None and (message.id or LC_ID_PREFIX).startswith(LC_ID_PREFIX):
            own = f"{LC_ID_PREFIX}-{run.run_id}"  # that of a run which may be nobody's is no use
            message = message.model_copy(update={"id": own})
        return message


@contextmanager
def _told_already(run: BaseRunManager | None) -> Generator[None]:
    """No spans of our own below a run that a tracer has told of, with all its tokens."""
    told = run is not None and llm_spans.get() == "auto" and emitters(run.handlers)
    token = llm_spans.set("never" if told else llm_spans.get())
    try:
        yield
    finally:
        llm_spans.reset(token)


def _handed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the wrapper; its result is for us, and in a shadow there is none."""
    handed = {name: fields[name] for name in _HANDED if name in fields}
    return {**handed, "include_result": fields["shadow"] is None}
