"""Statistics of finished runs: rows, comparisons, verdicts and their sentences. Draws nothing."""
