"""Results on disk. The only package that knows the file names of a results folder."""
