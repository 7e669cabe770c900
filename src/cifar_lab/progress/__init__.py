"""Progress of a command: plain lines, live bars, and mirrors of the curves."""
