"""Training of one run or a cohort: from a job to its record."""
