"""A vector for ``bp jacobian --hvp``, from an array file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.file import DataFile
from backprop_cli.data.format import ArrayFormat, format_of
from backprop_cli.errors import DataError
from backprop_cli.inspection.axes import Axis


def read_vector(path: Path, by: Axis) -> Array:
    """One number for each element of ``by``, in its shape or flat. Raises: DataError."""
    file = DataFile(path)
    file.check()
    chosen = format_of(file.name, option="--hvp")
    arrays = chosen.arrays(file) if isinstance(chosen, ArrayFormat) else {}
    if len(arrays) != 1:
        what = f"{len(arrays)} arrays" if arrays else "no array"
        raise DataError(f"{file.name}: holds {what}; expected a .npy file with one vector")
    (array,) = arrays.values()
    if array.dtype.kind not in "biuf" or array.shape not in {by.shape, (by.size,)}:
        wanted = " or ".join(str(list(shape)) for shape in dict.fromkeys([by.shape, (by.size,)]))
        raise DataError(
            f"{file.name}: holds {array.dtype} of shape {list(array.shape)}; expected numbers of shape {wanted}, as "
            f"{by.name} has"
        )
    vector = np.asarray(array, np.float64).reshape(-1)
    if not np.isfinite(vector).all():
        place = int(np.flatnonzero(~np.isfinite(vector))[0])
        raise DataError(f"{file.name}: element {place} (from 0) is {vector[place]}; expected a finite number")
    return vector
