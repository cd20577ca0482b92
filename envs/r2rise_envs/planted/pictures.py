"""Small pictures of the planted environments, drawn with NumPy."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WALL, FLOOR = (60, 60, 70), (235, 235, 230)
TREASURE, AGENT, RESTING = (230, 180, 40), (40, 90, 200), (150, 150, 160)
_PIXELS = 8  # side of a cell
_SIDE = 84  # side of a picture of the plane, in pixels


def maze_picture(rows: Sequence[str], agent: tuple[int, int], *, dark: bool) -> Picture:
    """Return a picture of a maze, (height, width, 3) uint8, with 8 pixels per cell."""
    floor = RESTING if dark else FLOOR
    colours = {"#": WALL, "T": TREASURE}
    cells = np.array(
        [[colours.get(symbol, floor) for symbol in row] for row in rows], dtype=np.uint8
    )
    picture = cells.repeat(_PIXELS, axis=0).repeat(_PIXELS, axis=1)
    row, column = (_PIXELS * coordinate for coordinate in agent)
    picture[row + 2 : row + _PIXELS - 2, column + 2 : column + _PIXELS - 2] = AGENT
    return picture


def plane_picture(
    position: NDArray[np.float64], goals: NDArray[np.float64], lit: int | None, limit: float
) -> Picture:
    """Return a picture of goals and a point, (84, 84, 3) uint8, with x to the right and y up.

    Args:
        position: (2,) coordinates of the point, drawn in blue, each from -limit to limit.
        goals: (n, 2) coordinates of the goals, drawn in grey, the lit one in gold.
        lit: Index of the lit goal, or None.
        limit: Coordinate of the picture's edges.
    """
    picture = np.full((_SIDE, _SIDE, 3), FLOOR, dtype=np.uint8)
    for index, goal in enumerate(goals):
        _square(picture, goal / limit, 5, TREASURE if index == lit else RESTING)
    _square(picture, position / limit, 3, AGENT)
    return picture


def _square(
    picture: Picture, center: NDArray[np.float64], half: int, colour: tuple[int, int, int]
) -> None:
    """Draw a square of 2 half + 1 pixels around `center`, whose coordinates are in [-1, 1]."""
    column, row = np.round((_SIDE - 1) * (1 + center * (1, -1)) / 2).astype(int)
    picture[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = colour
