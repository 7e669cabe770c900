"""Optimizers and schedules of a cohort: K runs of one architecture with separate hyper-parameters."""
