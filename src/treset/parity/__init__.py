"""One study on both backends, compared where it matters: neighbours, clusters, populations, endpoints, verdicts."""

from treset.parity.judge import compare

__all__ = ["compare"]
