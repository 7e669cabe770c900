"""Backends that execute training steps: eager torch, captured CUDA graphs, and C kernels on the CPU."""
