"""A training step on the CPU by kernels of our own: C, compiled on the machine that trains, at its first use.

Torch's kernels are made for many channels. The Net family has 3 to 32 and a step of a millisecond, so most of a step
went to half-empty registers and to the launching of small operations (docs/performance.md). Here one call makes the
loss and all gradients of a batch. `compiler` makes the library, `network` tells it what a network is, `steps` trains.
"""
