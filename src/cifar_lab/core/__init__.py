"""Foundations without torch and without settings: errors, atomic writes, checksums, host, text."""
