"""Several choices by one request to an LLM of the OpenAI family: the prompt is paid for once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole

from llama_index_thinktwice.llm.calls import AsyncCalls, BlockingCalls, completion
from thinktwice import Completion, UsageError
from thinktwice.booking import current_booking
from thinktwice.errors import http_status
from thinktwice.scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.llms import LLM

    from llama_index_thinktwice.llm.calls import LLMResponse, Prompt
    from thinktwice.history import History
    from thinktwice.protocols import Options
    from thinktwice.vary import Vary

_FAMILY: Final = ("llama_index.llms.openai.base", "OpenAI")
_REFUSED: Final = frozenset({400, 422})

REFUSED: Final = (
    "the provider refused a request for several choices, so each sample is a request of its own "
    "from now on, and pays for the prompt again"
)


def check_native(llm: LLM, options: object, vary: Vary | None) -> None:
    """Refuse native n where one request cannot stand for several samples.

    Raises:
        UsageError: The LLM hands on one choice alone, or samples differ in what they ask for.
    """
    if not any((kind.__module__, kind.__name__) == _FAMILY for kind in type(llm).__mro__):
        remedy = (
            f"{type(llm).__name__} hands on one choice of a request: only OpenAI of "
            "llama-index-llms-openai, and what is derived from it, hands on all. Leave it out"
        )
        raise UsageError("native_n", True, remedy)  # noqa: FBT003 - the value that was given
    if callable(options) or vary is not None:
        remedy = "one request has one prompt and one set of options: they cannot vary by sample"
        raise UsageError("native_n", True, remedy)  # noqa: FBT003


class AsyncChoices(AsyncCalls):
    """Calls async methods, for several choices at once."""

    async def many(
        self, prompt: Prompt, n: int, /, *, options: Options
    ) -> Sequence[Completion[LLMResponse]]:
        """Ask for up to n choices by one request."""
        try:
            response = await self._call("a", prompt, {**options, "n": n})
        except Exception as error:  # noqa: BLE001 - raised again, if it is not that
            _ask_singly(self.history, error)
            return [await self(prompt, options=options)]
        return choices_of(response, self.llm)


class BlockingChoices(BlockingCalls):
    """Calls sync methods, for several choices at once."""

    def many(
        self, prompt: Prompt, n: int, /, *, options: Options
    ) -> Sequence[Completion[LLMResponse]]:
        """Ask for up to n choices by one request."""
        try:
            response = self._call("", prompt, {**options, "n": n})
        except Exception as error:  # noqa: BLE001 - as above
            _ask_singly(self.history, error)
            return [self(prompt, options=options)]
        return choices_of(response, self.llm)


def choices_of(response: LLMResponse, llm: LLM) -> list[Completion[LLMResponse]]:
    """Each choice as a response of its own; the usage of all is in the first."""
    made = [_with_choice(response, each, llm) for each in getattr(response.raw, "choices", [])]
    if not made:
        return [completion(response)]
    first, *others = map(completion, made)
    return [first, *(replace(each, usage=None) for each in others)]


def _with_choice(response: LLMResponse, choice: Any, llm: LLM) -> LLMResponse:  # noqa: ANN401
    """What LlamaIndex would have made of this choice, had it been the first."""
    from llama_index.llms.openai import utils

    raw = response.raw.model_copy(update={"choices": [choice]})  # type: ignore[union-attr]
    told: Any = choice.logprobs
    if hasattr(choice, "text"):  # of a model of texts
        text, found = choice.text, utils.from_openai_completion_logprobs(told) if told else None
        message = ChatMessage(text, role=MessageRole.ASSISTANT)
    else:
        modalities: list[str] = getattr(llm, "modalities", None) or ["text"]
        message = utils.from_openai_message(choice.message, modalities)
        text, content = message.content or "", getattr(told, "content", None)
        found = utils.from_openai_token_logprobs(content) if content else None
    own = {"message": message} if isinstance(response, ChatResponse) else {"text": text}
    return response.model_copy(update={**own, "raw": raw, "logprobs": found})


def _ask_singly(history: History, error: Exception) -> None:
    """From now on, where a request was refused for its n, and say so.

    Raises:
        Exception: The error, where it is another, or the budget has no call left.
    """
    if not (isinstance(error, TypeError) or http_status(error) in _REFUSED):
        raise error
    booking = current_booking()
    if booking is not None and http_status(error) and not booking.count_refused(error):
        raise error
    history.single = True
    if (scope := current_scope()) is not None:
        scope.remarks.append(REFUSED)
