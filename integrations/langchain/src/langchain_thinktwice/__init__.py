"""Voting, best-of-N and verification around any LangChain Runnable, within a budget."""
