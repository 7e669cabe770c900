"""A look at a comparison before it costs anything: what differs, what hides behind it, what the seeds can show."""
