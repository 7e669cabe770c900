"""Training on a GPU by one kernel in which each thread block trains one network, or a team of blocks does.

torch's kernels are launched step by step, and a network of the Net family fills a fraction of a GPU even if 40 of them
are stacked (docs/performance.md). Here one launch makes all steps of an epoch of all networks. The sources are compiled
on the training machine at first use, by the compiler that torch's packages bring. They are C++ too, so the tests check
them without a GPU.
"""
