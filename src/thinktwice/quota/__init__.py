"""Budgets across requests: of a user, a tenant, a day."""

from __future__ import annotations

from thinktwice.quota.checking import check_quota_store
from thinktwice.quota.quota import Quota
from thinktwice.quota.sqlite import SqliteStore
from thinktwice.quota.store import Amounts, Caps, Hold, QuotaStore

__all__ = ["Amounts", "Caps", "Hold", "Quota", "QuotaStore", "SqliteStore", "check_quota_store"]
