"""How fast cifar-lab trains beside what people run otherwise: `python -m benchmarks`, from the repository's root."""
