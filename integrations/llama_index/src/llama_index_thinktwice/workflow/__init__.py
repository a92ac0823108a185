"""Strategies in the steps of workflows, and over whole runs."""
