"""Where the episodes of an HDF5 file end: by its flags, and by its next observations."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError
from r2rise.formats import hdf5

if TYPE_CHECKING:
    import h5py

_ROWS_AT_ONCE = 4096
"""Rows that are compared at a time."""


def flags(group: "h5py.Group", name: str, n_rows: int) -> NDArray[np.bool_]:
    """Return flags that are stored as numbers, (n_rows,) bool.

    Raises:
        DemonstrationsError: If there are not as many, or some are neither 0 nor 1.
    """
    values = hdf5.flat(hdf5.array(group, name))
    if values.shape != (n_rows,) or not ((values == 0) | (values == 1)).all():
        raise DemonstrationsError(
            f"{name} of {group.name} should be ({n_rows},) of 0 and 1, got {values.shape}"
            f"{'' if values.shape != (n_rows,) else ' with other values'}."
        )
    return values.astype(bool)


def breaks(obs: "h5py.Dataset", next_obs: "h5py.Dataset") -> NDArray[np.bool_]:
    """Return after which rows the next observation is not the next row, (n_rows,) bool.

    The last row has no next one. Numbers of different precision are compared in the lower one.
    """
    dtype = min(obs.dtype, next_obs.dtype, key=lambda candidate: candidate.itemsize)
    found = np.zeros(len(obs), dtype=bool)
    for start in range(0, len(obs) - 1, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, len(obs) - 1))
        following = obs[rows.start + 1 : rows.stop + 1].astype(dtype)
        differs = next_obs[rows].astype(dtype) != following
        found[rows] = differs.reshape(len(differs), -1).any(axis=1)
    return found
