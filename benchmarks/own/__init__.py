"""cifar-lab's side of a comparison, each module run as a process of its own."""
