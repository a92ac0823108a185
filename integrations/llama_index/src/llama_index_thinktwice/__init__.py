"""Voting, best-of-N, repair and checks for LlamaIndex's engines, retrievers, LLMs and agents."""
