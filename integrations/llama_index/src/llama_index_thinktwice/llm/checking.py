"""What an LLM over samples refuses before anything is drawn."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from llama_index.core.llms import LLM, ChatMessage
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.multi_modal_llms import MultiModalLLM

from llama_index_thinktwice.llm.calls import check_reach
from llama_index_thinktwice.llm.native import check_native
from thinktwice import CritiqueRepair, FieldVote, Strategy, UsageError
from thinktwice.errors import TypeOf
from thinktwice.strategy import check_flags

_NO_FIELDS: Final = (
    "responses of an LLM have no fields. Vote on those of parsed answers: a StrategyQueryEngine "
    "around as_query_engine(output_cls=...), or structured_predict inside a sampler of your own"
)
_KINDS: Final = (
    (
        StructuredLLM,
        "make it of the result: StrategyLLM(llm=..., ...).as_structured_llm(output_cls)",
    ),
    (MultiModalLLM, "give an LLM: those of today take images as blocks of a message"),
    (str, "give the LLM itself, such as OpenAI(model=...)"),
)
_NO_LLM: Final = "give an LLM of LlamaIndex, such as OpenAI(model=...) or Settings.llm"
_FOREIGN: Final = "wrap it: LangChainLLM(llm=model), of llama-index-llms-langchain"
_OPTIONS: Final = "give a mapping of call options, or a function of the sample's index"
_OURS: Final = frozenset({"messages", "prompt", "formatted", "n"})


def check_llm(llm: object, strategy: Strategy, options: object, *, native_n: bool) -> None:
    """Refuse what makes no sense for an LLM; the solver refuses the rest.

    Raises:
        UsageError: As above.
    """
    _check_kind(llm)
    assert isinstance(llm, LLM)  # noqa: S101 - it has just been looked at
    check_flags(native_n=native_n)
    if isinstance(strategy, FieldVote):
        raise UsageError("strategy", strategy, _NO_FIELDS)
    vary: Any = getattr(strategy, "vary", None)
    if vary is not None and vary.samplers:
        raise UsageError("samplers", vary.samplers, "this has one LLM: vary its prompts")
    _check_options(llm, options)
    if native_n:
        check_native(llm, options, vary)


def check_critic(strategy: object, remedy: str) -> None:
    """Refuse a repair whose critic would be what is sampled, where that cannot be one.

    Args:
        strategy: The strategy; what it is made of is looked at as well.
        remedy: What to give instead.

    Raises:
        UsageError: As above.
    """
    if isinstance(strategy, CritiqueRepair) and strategy.critic is None:
        judged = strategy.verifier is not None
        if not judged or strategy.mode not in {None, "critic"}:
            raise UsageError("critic", None, remedy)
    if isinstance(strategy, Strategy) and strategy.of is not None:
        check_critic(strategy.of, remedy)


def check_text(prompt: object) -> str:
    """What is to be completed.

    Raises:
        UsageError: It is no text.
    """
    if isinstance(prompt, str):
        return prompt
    raise UsageError("prompt", TypeOf(prompt), "give a text; chat() takes messages")


def check_messages(messages: object) -> list[ChatMessage]:
    """What is said in a chat.

    Raises:
        UsageError: They are no messages.
    """
    given, remedy = TypeOf(messages), "give a list of ChatMessages; complete() takes a text"
    if isinstance(messages, str | Mapping) or not isinstance(messages, Iterable):
        raise UsageError("messages", given, remedy)
    said = list(cast("Iterable[object]", messages))
    for each in said:
        if not isinstance(each, ChatMessage):
            raise UsageError("messages", [TypeOf(each)], remedy)
    return cast("list[ChatMessage]", said)


def check_call(given: Mapping[str, Any]) -> None:
    """Refuse keyword arguments of a call that would change what is sampled.

    Raises:
        UsageError: It asks for several answers.
    """
    if (given.get("n") or 1) != 1:
        remedy = "it answers with one message: n samples are the strategy's to draw"
        raise UsageError("n", given["n"], remedy)


def _check_kind(llm: object) -> None:
    for kind, remedy in _KINDS:
        if isinstance(llm, kind):
            raise UsageError("llm", TypeOf(llm), remedy)
    if not isinstance(llm, LLM):
        home = type(llm).__module__.partition(".")[0]
        remedy = _FOREIGN if home.startswith("langchain") else _NO_LLM
        raise UsageError("llm", TypeOf(llm), remedy)


def _check_options(llm: LLM, options: object) -> None:
    if options is None:
        return
    if isinstance(options, Mapping):
        if taken := sorted(_OURS & set(options)):  # pyright: ignore[reportUnknownArgumentType]
            raise UsageError(
                "options", taken, "leave it out: the strategy says what is asked, and how often"
            )
        check_reach(llm, options)  # pyright: ignore[reportUnknownArgumentType]
    elif not callable(options):
        raise UsageError("options", TypeOf(options), _OPTIONS)
    elif not _takes_an_index(options):
        raise UsageError("options", options, _OPTIONS)


def _takes_an_index(function: Any) -> bool:  # noqa: ANN401 - a callable
    """As far as it says."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of something built in
        return True
    try:
        signature.bind(0)
    except TypeError:
        return False
    return True
