"""Foundations of every other package: no torch, no settings."""
