"""Engine of worker processes on this machine."""
