"""Strategies over the next step of agents."""
