"""The same 24 runs by the tools that people write a grid with: 2 optimizers, 4 learning rates, 3 seeds, 2 processes."""
