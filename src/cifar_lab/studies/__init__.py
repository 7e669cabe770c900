"""Studies: sweeps over a space of settings, and sequential tests of a question."""
