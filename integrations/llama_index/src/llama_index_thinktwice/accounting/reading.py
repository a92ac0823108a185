"""What an LLM call reads: messages with all their blocks, and what is sent besides them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from llama_index.core.base.llms.types import ChatMessage, TextBlock

_BESIDE: Final = ("tools", "functions", "response_format")
_MEDIA: Final = frozenset({"image", "audio", "video", "document"})


def reading(prompt: object, given: Mapping[str, Any]) -> object:
    """What a call reads, in a shape whose tokens the core can bound.

    Args:
        prompt: A text or messages.
        given: Keyword arguments of the call, of which some are sent as input: tools, schemas.
    """
    beside = [json.dumps(sent, default=str) for name in _BESIDE if (sent := given.get(name))]
    if isinstance(prompt, str) or not isinstance(prompt, Sequence):
        return [prompt, *beside] if beside else prompt
    return [*map(_plain, cast("Sequence[object]", prompt)), *beside]


def _plain(message: object) -> object:
    if not isinstance(message, ChatMessage):
        return message
    blocks = [_block(each) for each in message.blocks]
    extra = message.additional_kwargs
    told = [{"type": "extra", "extra": extra}] if extra else []
    return {"role": message.role.value, "content": [*blocks, *told]}


def _block(block: Any) -> dict[str, Any]:  # noqa: ANN401 - one of many types, more in later releases
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    kind = getattr(block, "block_type", "")
    if kind in _MEDIA:
        return {"type": kind}  # its tokens are not those of its bytes
    return block.model_dump(exclude_none=True)
