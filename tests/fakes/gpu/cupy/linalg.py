from __future__ import annotations

import numpy as np

from ._array import ndarray, of_device


def eigh(a, UPLO="L"):
    values, vectors = np.linalg.eigh(of_device(a), UPLO)
    return ndarray(values), ndarray(vectors)
