"""OpenAI's chat completions on the wire: reading requests, writing replies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from .asking import Turn
from .assistant import Reply, Token, last_of
from .options import DEFAULT_TEMPERATURE, Options, options_from
from .scripted import Calling

JSON = dict[str, object]


class BadRequest(Exception):
    """A request that gets an error reply.

    Args:
        message: What is wrong with it.
        status: HTTP status.
        kind: OpenAI's error type.
        code: OpenAI's error code.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, kind=kind, code=code)


@dataclass(frozen=True)
class ChatRequest:
    """What a request asks for.

    Args:
        prompt: Text of the last user message.
        turns: All messages.
        options: How to sample.
        n: Number of choices.
        model: The model asked for.
        logprobs: Whether log-probabilities are wanted.
        stream: Whether to stream.
        include_usage: Whether the stream ends with a chunk of usage.
    """

    prompt: str
    turns: tuple[Turn, ...]
    options: Options
    n: int
    model: str
    logprobs: bool
    stream: bool
    include_usage: bool


def read_request(text: str, models: Sequence[str]) -> ChatRequest:
    """Read the body of a request.

    Raises:
        BadRequest: It is no valid request for any of `models`.
    """
    try:
        parsed: object = json.loads(text)
    except ValueError:
        raise BadRequest("We could not parse the JSON body of your request.") from None
    body = _mapping(parsed, "the body")
    model = body.get("model")
    if not isinstance(model, str):
        raise BadRequest("you must provide a model parameter")
    if model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise BadRequest(message, status=404, code="model_not_found")
    n = body.get("n")
    n = 1 if n is None else n
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 128:
        raise BadRequest(f"'n' must be an integer from 1 to 128, not {n!r}")
    turns = _turns(body.get("messages"))
    return ChatRequest(
        prompt=last_of(turns),
        turns=turns,
        options=_options(body),
        n=n,
        model=model,
        logprobs=bool(body.get("logprobs")),
        stream=bool(body.get("stream")),
        include_usage=bool(
            _mapping(body.get("stream_options"), "stream_options").get("include_usage")
        ),
    )


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object")
    return cast("dict[str, object]", value)


def _options(body: Mapping[str, object]) -> Options:
    temperature, most = body.get("temperature"), body.get("max_completion_tokens")
    given: JSON = {
        "temperature": DEFAULT_TEMPERATURE if temperature is None else temperature,
        "max_tokens": body.get("max_tokens") if most is None else most,
        "seed": body.get("seed"),
        "stop": body.get("stop"),
        "top_logprobs": body.get("top_logprobs"),
        "effort": body.get("reasoning_effort"),
    }
    if given["top_logprobs"] and not body.get("logprobs"):
        raise BadRequest("'top_logprobs' needs 'logprobs' to be true")
    try:
        return options_from(given)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _turns(messages: object) -> tuple[Turn, ...]:
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list of at least one message")
    listed = [_mapping(message, "a message") for message in cast("list[object]", messages)]
    return tuple(Turn(str(message.get("role")), _text(message)) for message in listed)


def _text(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = [_mapping(part, "a content part") for part in cast("list[object]", content)]
        content = "".join(str(part.get("text", "")) for part in parts)
    if isinstance(content, str):
        return content
    if message.get("role") == "assistant":  # a turn that called a tool has no text
        return ""
    raise BadRequest("the content of a message must be a text")


def error_body(message: str, *, kind: str, code: str | None = None) -> JSON:
    """Return the body of an error reply."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def usage_of(replies: Sequence[Reply]) -> JSON:
    """Return the usage of a whole request: the prompt counts once, whatever `n`."""
    read, written = replies[0].input_tokens, sum(reply.output_tokens for reply in replies)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def logprobs_of(tokens: Sequence[Token]) -> JSON:
    """Return the `logprobs` object of a choice."""
    return {
        "content": [
            {
                **_logprob(token.text, token.logprob),
                "top_logprobs": [_logprob(*each) for each in token.top],
            }
            for token in tokens
        ],
        "refusal": None,
    }


def _logprob(text: str, logprob: float) -> JSON:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def completion_body(
    replies: Sequence[Reply], *, id: str, created: int, model: str, logprobs: bool
) -> JSON:
    """Return the body of a plain reply."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "refusal": None, **_said(reply)},
            "logprobs": logprobs_of(reply.tokens) if logprobs else None,
            "finish_reason": _finish_reason(reply),
        }
        for index, reply in enumerate(replies)
    ]
    head: JSON = {"id": id, "object": "chat.completion", "created": created, "model": model}
    return {**head, "choices": choices, "usage": usage_of(replies)}


def chunk_body(
    item: Token | Reply, index: int, *, id: str, created: int, model: str, logprobs: bool
) -> JSON:
    """Return a chunk of a stream: a token, or the end of a choice."""
    delta = _said(item) if isinstance(item, Token | Calling) else {}
    choice: JSON = {
        "index": index,
        "delta": {"role": "assistant", **delta} if delta else {},
        "logprobs": logprobs_of([item]) if logprobs and isinstance(item, Token) else None,
        "finish_reason": None if isinstance(item, Token) else _finish_reason(item),
    }
    head: JSON = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
    return {**head, "choices": [choice]}


def _said(item: Token | Reply) -> JSON:
    """Return what a message, or a piece of it, says or calls."""
    if not isinstance(item, Calling):
        return {"content": item.text}
    function: JSON = {"name": item.call.name, "arguments": item.call.text}
    call: JSON = {"index": 0, "id": "call-1", "type": "function", "function": function}
    return {"content": None, "tool_calls": [call]}


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if isinstance(reply, Calling) else reply.finish_reason


def event(body: JSON) -> bytes:
    """Return a server-sent event."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"
