"""Maps of states: two principal components, and a neighbour embedding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

BLOCK = 16_384  # rows whose distances are computed together
NEIGHBOURS = 12  # of a point in the graph of the neighbour embedding
FLOOR = 1e-4  # weight of the links between all points, which connects the parts of the graph


class Plane(NamedTuple):
    """The first two principal components of a set of states."""

    mean: Float[np.ndarray, " S"]
    axes: Float[np.ndarray, "2 S"]
    shares: Float[np.ndarray, "2"]
    """Their shares of the variance."""

    @classmethod
    def of(cls, states: Float[np.ndarray, "M S"]) -> Plane:
        """Find the components of M ≥ 2 states with S ≥ 2 components. Their largest entries are positive.

        >>> plane = Plane.of(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]))
        >>> plane(np.array([[6.0, 0.0]])).round(6).tolist(), plane.shares.round(6).tolist()
        ([[4.0, 0.0]], [1.0, 0.0])
        """
        mean = states.mean(axis=0)
        _, sizes, axes = np.linalg.svd(states - mean, full_matrices=False)
        axes, sizes = axes[:2], np.square(sizes)
        signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
        return cls(mean, axes * signs[:, None], sizes[:2] / max(float(sizes.sum()), 1e-12))

    def __call__(self, states: Float[np.ndarray, "B S"]) -> Float[np.ndarray, "B 2"]:
        """Project states on the plane."""
        places: Float[np.ndarray, "B 2"] = (states - self.mean) @ self.axes.T
        return places


def find_neighbours(
    queries: Float[np.ndarray, "B S"], rows: Float[np.ndarray, "M S"], count: int
) -> tuple[Float[np.ndarray, "B k"], Int[np.ndarray, "B k"]]:
    """Find the nearest ``count`` rows of each query: their distances in ascending order, and their indices.

    >>> distances, index = find_neighbours(np.array([[0.9]]), np.array([[0.0], [1.0], [3.0]]), 2)
    >>> distances.round(3).tolist(), index.tolist()
    ([[0.1, 0.9]], [[1, 0]])
    """
    count = min(count, len(rows))
    best = np.full((len(queries), 0), np.inf)
    found = np.zeros((len(queries), 0), np.int64)
    norms = np.square(queries).sum(axis=1)[:, None]
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        squared = norms + np.square(block).sum(axis=1) - 2.0 * queries @ block.T
        near = np.argpartition(squared, min(count, len(block)) - 1, axis=1)[:, :count]
        best = np.concatenate([best, np.take_along_axis(squared, near, axis=1)], axis=1)
        found = np.concatenate([found, near + start], axis=1)
        order = np.argsort(best, axis=1, kind="stable")[:, :count]
        best, found = (np.take_along_axis(array, order, axis=1) for array in (best, found))
    exact = np.linalg.norm(queries[:, None] - rows[found], axis=-1)  # differences of large squares are inexact
    return exact, found


def place_by_neighbours(points: Float[np.ndarray, "M S"]) -> Float[np.ndarray, "M 2"]:
    """Place points so that neighbours in the space of states are neighbours in the plane: Laplacian eigenmaps.

    Each point is linked to its twelve nearest ones, with a Gaussian weight whose width is the distance to the last of
    them; all points are linked weakly. Coordinates are the second and third eigenvector of the normalised Laplacian, as
    ranks between 0 and 1, because the eigenvectors of points that are far from all others are peaked.

    Source: Belkin and Niyogi 2003; the ranks are potstill's own.
    """
    count = len(points)
    near = min(NEIGHBOURS, count - 1)
    distances, index = cKDTree(points).query(points, near + 1)
    widths = np.maximum(distances[:, -1:], 1e-12)
    weights = np.exp(-np.square(distances[:, 1:] / widths))
    rows = np.repeat(np.arange(count), near)
    graph = coo_matrix((weights.ravel(), (rows, index[:, 1:].ravel())), (count, count)).tocsr()
    graph = graph.maximum(graph.T)
    degrees = np.asarray(graph.sum(axis=1)).ravel() + FLOOR
    root = 1.0 / np.sqrt(degrees)
    scaled = diags(root) @ graph @ diags(root)
    shifted = scaled.toarray() + FLOOR / count * np.outer(root, root)
    _, vectors = eigsh(shifted, k=3, which="LA", v0=np.ones(count))
    vectors = vectors[:, ::-1][:, 1:] * root[:, None]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(2)])
    ranks: Float[np.ndarray, "M 2"] = np.argsort(np.argsort(vectors, axis=0, kind="stable"), axis=0) / max(1, count - 1)
    return ranks


def count_cells(
    places: Float[np.ndarray, "M 2"], cells: int, margin: Float[np.ndarray, "B 2"]
) -> tuple[Int[np.ndarray, "C C"], tuple[float, float, float, float]]:
    """Count points in a grid that contains them and the points ``margin``: rows are y; and the extent of the grid."""
    both = np.concatenate([places, margin])
    (left, bottom), (right, top) = both.min(axis=0), both.max(axis=0)
    extent = (float(left), float(right), float(bottom), float(top))
    sides = [(left, max(right, left + 1e-9)), (bottom, max(top, bottom + 1e-9))]
    counts, _, _ = np.histogram2d(places[:, 0], places[:, 1], cells, sides)
    return counts.T.astype(np.int64), extent
