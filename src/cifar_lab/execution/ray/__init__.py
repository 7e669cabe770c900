"""Runs on a Ray cluster. The driver, which asked for the runs, alone writes results; nodes work in scratch folders.

`connect` and `remote` know Ray, `node` and what it uses run on the nodes.
"""
