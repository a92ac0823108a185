"""Replies that are written for the server, in place of those of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .assistant import Reply, Token


@dataclass(frozen=True)
class ToolCall:
    """A tool that a reply calls.

    Args:
        name: Of the tool.
        arguments: Of the call.
    """

    name: str
    arguments: Mapping[str, object]

    @property
    def text(self) -> str:
        """The arguments as they go over the wire."""
        return json.dumps(dict(self.arguments))


ReplyTo = Callable[[str, int], "str | ToolCall"]
"""Makes a reply from the prompt and the number of the request."""


@dataclass(frozen=True)
class Calling(Reply):
    """A reply that calls a tool and says nothing.

    Args:
        call: What it calls.
    """

    call: ToolCall = ToolCall("", {})

    @property
    def output_tokens(self) -> int:
        """Characters of the name and of the arguments."""
        return len(self.call.name) + len(self.call.text)


def echo(prompt: str, number: int) -> str:
    """Reply with the prompt: a `ReplyTo` that costs no model time."""
    return prompt


def scripted(reply: ReplyTo, prompt: str, number: int) -> Reply:
    """Return a reply to the prompt of a request as a model would have written it."""
    made = reply(prompt, number)
    if isinstance(made, ToolCall):
        return Calling((), "stop", len(prompt), made)
    return Reply(tuple(Token(character, 0.0) for character in made), "stop", len(prompt))
