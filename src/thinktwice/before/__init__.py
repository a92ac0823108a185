"""Checking a tool call that a model proposes, before it has any effect."""

from __future__ import annotations

from thinktwice.before.action import Action
from thinktwice.before.checking import Decision, check_before

__all__ = ["Action", "Decision", "check_before"]
