from __future__ import annotations

import sklearn.neighbors
from cupy._array import ndarray, of_device
from cupy.cuda import check


class NearestNeighbors:
    """scikit-learn's, for arrays of the device."""

    def __init__(
        self, *, n_neighbors=5, radius=1.0, algorithm="auto", metric="euclidean", p=2, algo_params=None,
        metric_params=None, n_jobs=None, verbose=False, output_type=None,
    ):  # fmt: skip
        assert output_type == "cupy"
        self.model = sklearn.neighbors.NearestNeighbors(n_neighbors=n_neighbors, algorithm=algorithm, metric=metric)

    def fit(self, X, y=None):
        check("knn")
        self.model.fit(of_device(X))
        return self

    def kneighbors(self, X=None, n_neighbors=None, return_distance=True, *, two_pass_precision=False):
        check("knn")
        distances, indices = self.model.kneighbors(of_device(X), n_neighbors)
        return ndarray(distances), ndarray(indices)
