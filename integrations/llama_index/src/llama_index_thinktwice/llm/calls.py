"""LLMs as samplers whose calls are booked, and may be refused, before they are sent."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.structured_llm import StructuredLLM

from llama_index_thinktwice.accounting.asking import model_of, output_cap, provider_of
from llama_index_thinktwice.accounting.reading import reading
from llama_index_thinktwice.accounting.usage import read_reply
from llama_index_thinktwice.tracing import emitted
from thinktwice import Completion, UsageError

if TYPE_CHECKING:
    from llama_index.core.llms import LLM

    from thinktwice.history import History
    from thinktwice.protocols import Options

Prompt: TypeAlias = str | Sequence[ChatMessage]
"""What an LLM is asked: a text to complete, or messages."""
LLMResponse: TypeAlias = ChatResponse | CompletionResponse

COMPOSITE: Final = "thinktwice_composite"
"""Attribute of an LLM that samples another: its calls are booked where that makes them."""

_MERGING: Final = ("_get_model_kwargs", "_get_all_kwargs")
"""Methods by which LLMs of the OpenAI and the Anthropic families put call kwargs and settings of
their own together."""


class _Calls:
    """What both samplers share: a text goes to `complete`, messages to `chat`.

    Attributes:
        llm: The LLM.
        history: What past requests tell about its latencies.
        leaf: Each draw is one LLM call; False of an LLM that samples another.
        draws: Draws that the strategies inside the LLM make for one sample.
        model: The model that is asked.
        provider: Who serves it.
        max_tokens: Output tokens of one call at most.
    """

    def __init__(self, llm: LLM, given: Mapping[str, Any], history: History) -> None:
        """Sample an LLM on behalf of a request.

        Args:
            llm: The LLM.
            given: Keyword arguments of each call.
            history: What past requests tell about it.
        """
        self.llm = llm
        self.history = history
        self.draws = draws_of(llm)
        self.leaf = not hasattr(llm, COMPOSITE)
        self.model, self.provider, self.max_tokens = None, None, None
        if self.leaf:
            asked = given.get("model")
            self.model = asked if isinstance(asked, str) else model_of(llm)
            self.provider = provider_of(llm)
            self.max_tokens = output_cap(llm, settings_of(llm, given))
        self._given = dict(given)

    @property
    def emitted(self) -> bool:
        """Whether somebody else opens a span for each call."""
        return emitted(self.llm)

    def reads(self, prompt: Prompt) -> object:
        """What a call reads: tools as well."""
        return reading(prompt, self._given)

    def _call(self, prefix: str, prompt: Prompt, options: Options) -> Any:  # noqa: ANN401
        check_reach(self.llm, options)
        given = {**self._given, **options}
        if isinstance(prompt, str):
            return getattr(self.llm, f"{prefix}complete")(prompt, **given)
        return getattr(self.llm, f"{prefix}chat")([_copied(each) for each in prompt], **given)


class AsyncCalls(_Calls):
    """Calls async methods of an LLM."""

    async def __call__(self, prompt: Prompt, /, *, options: Options) -> Completion[LLMResponse]:
        """Ask once."""
        return completion(await self._call("a", prompt, options))


class BlockingCalls(_Calls):
    """Calls sync methods of an LLM, on the thread it is called in."""

    def __call__(self, prompt: Prompt, /, *, options: Options) -> Completion[LLMResponse]:
        """Ask once."""
        return completion(self._call("", prompt, options))


def completion(response: LLMResponse) -> Completion[LLMResponse]:
    """A response with what it says of itself."""
    reply = read_reply(response)
    return Completion(
        value=response,
        text=reply.text or None,  # of mere tool calls, none
        usage=reply.usage,
        model=reply.model,
        finish_reason=reply.finish_reason,
        response_id=reply.response_id,
        logprobs=reply.logprobs,
        top_logprobs=reply.top_logprobs,
    )


def draws_of(llm: object) -> int:
    """Samples that one call of an LLM draws at the most: 1 but for a `StrategyLLM`.

    Those of strategies inside it multiply.
    """
    if isinstance(llm, StructuredLLM):
        return draws_of(llm.llm)
    return getattr(llm, "draws", 1) if hasattr(llm, COMPOSITE) else 1


def settings_of(llm: object, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of a call as the LLM will send them, as far as it lets one look.

    Args:
        llm: The LLM.
        given: Keyword arguments of the call.
    """
    for name in _MERGING:
        if not hasattr(type(llm), name):
            continue
        with suppress(Exception):  # a method of that name which is another
            merged: object = getattr(llm, name)(**given)
            if isinstance(merged, Mapping):
                return cast("Mapping[str, Any]", merged)
    return given


def check_reach(llm: object, options: Options) -> None:
    """Refuse options that the LLM would overrule by settings of its own.

    Raises:
        UsageError: As above.
    """
    sent = settings_of(llm, options) if options else options
    lost = sorted(name for name in options if name in sent and sent[name] != options[name])
    if lost:
        remedy = (
            f"the LLM sends its own {' and '.join(lost)} instead: take it out of the LLM, or of "
            "its additional_kwargs, or out of options="
        )
        raise UsageError("options", lost, remedy)


def blocks(llm: LLM) -> bool:
    """Whether the async methods of an LLM call its sync ones on the event loop."""
    return isinstance(llm, CustomLLM) and any(
        inspect.getattr_static(type(llm), name) is inspect.getattr_static(CustomLLM, name)
        for name in ("achat", "acomplete")
    )


def _copied(message: ChatMessage) -> ChatMessage:
    """With a list of blocks of its own: some LLMs change what they are given."""
    own = {"blocks": [*message.blocks], "additional_kwargs": {**message.additional_kwargs}}
    return message.model_copy(update=own)
