"""Searches that are replayed from a table of finished runs."""
