"""The version of the package, stated here only. CHANGELOG.md says what each version holds."""

__version__ = "0.2.0.dev0"
