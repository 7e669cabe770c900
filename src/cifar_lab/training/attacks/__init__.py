"""Attacks on trained networks: K networks and a batch of images at once, in pixel space."""
