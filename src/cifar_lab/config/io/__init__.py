"""Settings in and out: strict YAML, `--set` and Python mappings to Settings, and back. No torch."""
