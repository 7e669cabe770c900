"""Runs on a Ray cluster. Only the driver, which started the command, writes results. Nodes use scratch folders.

`connect` imports Ray. `node` and what it imports run on the nodes.
"""
