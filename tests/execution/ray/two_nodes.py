"""A Ray cluster of two one-core nodes on this machine, in a process of its own that a test speaks to.

Prints its address; then `lose` lets the second node die with all that is on it, `add` starts another, and the end of
standard input ends everything. Each node has a cache of its own, in the folder that is given.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

STORE_BYTES = 80 * 2**20


def node(folder: str, name: str) -> dict[str, Any]:
    return {
        "num_cpus": 1,
        "object_store_memory": STORE_BYTES,
        "include_dashboard": False,
        "env_vars": {"CIFAR_LAB_CACHE": f"{folder}/cache of {name}"},
    }


def main() -> None:
    folder = sys.argv[1]
    cluster = Cluster(initialize_head=True, head_node_args=node(folder, "head"))
    second = cluster.add_node(**node(folder, "second"))
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "lose":
            cluster.remove_node(second, allow_graceful=False)
        else:
            second = cluster.add_node(**node(folder, "second"))
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
