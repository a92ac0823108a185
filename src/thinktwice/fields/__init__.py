"""Votes over the fields of objects: ballots, when all are settled, the object composed."""
