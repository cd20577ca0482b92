"""Small pictures of the planted environments, painted with NumPy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WALL, FLOOR = (60, 60, 70), (235, 235, 230)
TREASURE, AGENT, RESTING = (230, 180, 40), (40, 90, 200), (150, 150, 160)
_PIXELS = 8  # of a cell's side
_SIDE = 84  # pixels of a picture of the plane


def maze_picture(rows: Sequence[str], agent: tuple[int, int], *, dark: bool) -> Picture:
    """Return a picture of a map, (height, width, 3), 8 pixels a cell, with the agent in blue."""
    floor = RESTING if dark else FLOOR
    colours = {"#": WALL, "T": TREASURE}
    cells = np.array([[colours.get(sign, floor) for sign in row] for row in rows], dtype=np.uint8)
    picture = cells.repeat(_PIXELS, axis=0).repeat(_PIXELS, axis=1)
    row, column = (_PIXELS * place for place in agent)
    picture[row + 2 : row + _PIXELS - 2, column + 2 : column + _PIXELS - 2] = AGENT
    return picture


def plane_picture(
    position: NDArray[np.float64], goals: NDArray[np.float64], lit: int | None, limit: float
) -> Picture:
    """Return a picture of goals, (n, 2), and a point, 84 by 84 pixels, x to the right, y up.

    Args:
        position: Of the point, blue; (2,), each coordinate from -limit to limit.
        goals: Grey, the one that is lit golden.
        lit: Number of that goal, or None.
        limit: Coordinate of the picture's edges.
    """
    picture = np.full((_SIDE, _SIDE, 3), FLOOR, dtype=np.uint8)
    for number, goal in enumerate(goals):
        _square(picture, goal / limit, 5, TREASURE if number == lit else RESTING)
    _square(picture, position / limit, 3, AGENT)
    return picture


def _square(
    picture: Picture, place: NDArray[np.float64], half: int, colour: tuple[int, int, int]
) -> None:
    column, row = np.round((_SIDE - 1) * (1 + place * (1, -1)) / 2).astype(int)
    picture[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = colour
