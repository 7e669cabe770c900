"""Report: pages, tables and charts of the answers. Draws what `analysis` computed, from the results folder alone."""
