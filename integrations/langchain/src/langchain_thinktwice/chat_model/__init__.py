"""A chat model that draws several samples of another, for what insists on a `BaseChatModel`."""

from __future__ import annotations

from langchain_thinktwice.chat_model.model import StrategyChatModel

__all__ = ["StrategyChatModel"]
