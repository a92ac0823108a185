"""Whole graphs of LangGraph as samples."""
