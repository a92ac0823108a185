"""What the LLM calls below a sample or a verdict take."""
