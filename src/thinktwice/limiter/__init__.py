"""Caps on concurrency and rates, and what is known of replicas."""

from __future__ import annotations

from thinktwice.limiter.limiter import DEFAULT_CONCURRENCY, Limiter

__all__ = ["DEFAULT_CONCURRENCY", "Limiter"]
