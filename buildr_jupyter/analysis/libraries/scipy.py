"""scipy: which of its functions draw from numpy's global generator, what they read, and what its methods change."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import Methods, words

__all__ = ["DRAWS", "FILE_READERS", "FILE_WRITERS", "METHODS"]

DRAWS = words(
    "cluster.vq.kmeans cluster.vq.kmeans2 interpolate.BarycentricInterpolator interpolate.barycentric_interpolate "
    "linalg.clarkson_woodruff_transform optimize.basinhopping optimize.check_grad optimize.differential_evolution "
    "optimize.dual_annealing sparse.rand sparse.random sparse.random_array sparse.linalg.eigs sparse.linalg.eigsh "
    "sparse.linalg.svds spatial.distance.directed_hausdorff"
)
"""Functions of scipy outside of ``stats`` that draw; those take a generator or a seed."""

FILE_READERS = {"scipy.io.loadmat": 0, "scipy.io.wavfile.read": 0}
FILE_WRITERS = {"scipy.io.savemat": 0, "scipy.io.wavfile.write": 0}

_FRESH = words("apply median query")

METHODS = Methods(
    quiet=words(
        "_asdict cdf ceil floor integrate interval isf logpdf multiply pdf pmf ppf resample sf solve sqrt toarray "
        "tocoo tocsc tocsr todense"
    )
    | _FRESH,
    fresh=_FRESH,
    gives=("builtins", "numpy"),
)
