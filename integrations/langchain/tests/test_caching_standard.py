"""LangChain's own suites for caches."""

from __future__ import annotations

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_thinktwice.diversity.caching import SampleKeyedCache

suites = pytest.importorskip("langchain_tests.integration_tests")


class TestSyncSuite(suites.SyncCacheTestSuite):
    """LangChain's own tests of a cache."""

    @pytest.fixture
    def cache(self) -> BaseCache:
        return SampleKeyedCache(InMemoryCache())


class TestAsyncSuite(suites.AsyncCacheTestSuite):
    """The same of its async methods."""

    @pytest.fixture
    def cache(self) -> BaseCache:
        return SampleKeyedCache(InMemoryCache())
