"""`python -m cifar_lab` is `cifar-lab`."""

from cifar_lab.cli import main

main()
