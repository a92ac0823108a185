"""A strategy in the shadow of a Runnable: callers get what they would get without it."""
