"""Copies of what happens to runs for people who live elsewhere: TensorBoard event files, an MLflow database.

They hear the same events as the display (`relay`), in the parent, and import no torch. The records stay the truth: a
mirror that fails is left, said once, and harms no run.
"""
