"""Actions that are stored one-hot."""

import dataclasses
from pathlib import Path

import numpy as np

from r2rise.data.checks import row_chunks
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import DemonstrationsError


def without_one_hot(path: Path, demonstrations: Demonstrations) -> Demonstrations:
    """Return demonstrations whose actions are the numbers of the 1s, (n_frames,) int64.

    Args:
        path: The file, for messages.
        demonstrations: Demonstrations with one-hot actions, (n_frames, n_choices).

    Raises:
        DemonstrationsError: If an action is not one-hot; it names the first.
    """
    acts = demonstrations.acts
    if acts.ndim != 2:
        raise DemonstrationsError(
            f"{path}: one-hot actions should be (n_frames, n_choices), got {acts.shape}. Leave out "
            f"one_hot."
        )
    first_row = 0
    for rows in row_chunks(acts):
        is_one_hot = (((rows == 0) | (rows == 1)).all(axis=1)) & (rows.sum(axis=1) == 1)
        if not is_one_hot.all():
            row = int(np.argmin(is_one_hot))
            raise _not_one_hot(path, demonstrations, first_row + row)
        first_row += len(rows)
    choices = np.concatenate([rows.argmax(axis=1) for rows in row_chunks(acts)])
    return dataclasses.replace(demonstrations, acts=choices)


def _not_one_hot(path: Path, demonstrations: Demonstrations, frame: int) -> DemonstrationsError:
    number = int(demonstrations.frame_demonstration[frame])
    time = frame - int(demonstrations.first_frame[number])
    action = ", ".join(f"{value:g}" for value in demonstrations.acts[frame].tolist()[:10])
    return DemonstrationsError(
        f"{path}: one-hot actions should be one 1 among zeros, but that of frame {time} of "
        f"demonstration {number} is [{action}]."
    )
