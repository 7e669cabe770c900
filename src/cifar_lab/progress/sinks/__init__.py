"""Mirrors of the curves for other tools: TensorBoard event files, an MLflow database, W&B files.

They receive the events of the display (`relay`) in the parent, and import no torch. The records are the truth: a mirror
that fails is reported once, dropped, and harms no run.
"""
