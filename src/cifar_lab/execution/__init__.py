"""Execution of runs: plan, tasks, worker processes, retries, and the engines."""
