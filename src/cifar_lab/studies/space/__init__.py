"""Space of a sweep: from axes to points, search methods and winners. Nothing runs here, and no torch."""
