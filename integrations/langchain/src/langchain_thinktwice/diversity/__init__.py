"""Samples that differ: options that reach the model, caches that keep them apart, native n."""
