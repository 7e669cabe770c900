"""Training steps on the CPU by this project's C kernels, compiled on the training machine at first use.

torch's kernels are made for many channels. The Net family has 3 to 32 and a step of a millisecond, so most of a step
went to half-empty registers and to launching small operations (docs/performance.md). Here one call computes the loss
and all gradients of a batch. `compiler` makes the library, `layers` describes a network to it, `backend` trains.
"""
