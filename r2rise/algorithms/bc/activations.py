"""Activation functions for compiled code, and the decorator that compiles it."""

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

# `nogil` lets threads train different masks in parallel. The numpy error model does not check for
# division by zero, and `reassoc` allows sums in any order: both let LLVM vectorise the loops.
jit = njit(
    cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "nnan", "reassoc"}
)


def tanh(x):  # type: ignore[no-untyped-def]
    """Return the hyperbolic tangent. It is implemented for compiled code only, by the overload."""
    raise NotImplementedError


@overload(tanh, inline="always")
def _tanh_overload(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return _tanh_float32
    return _tanh_float64


def _tanh_float64(x):  # type: ignore[no-untyped-def]  # numba: same parameter names as `tanh`
    return math.tanh(x)


def _tanh_float32(x):  # type: ignore[no-untyped-def]
    """Return the 11th convergent of Lambert's continued fraction (1768).

    Its absolute error is at most 6e-7. Unlike calls of `math.tanh`, it vectorises.
    """
    f = np.float32
    y = min(x * x, f(1e7))  # so that y**5 stays finite in float32
    p = ((((y + f(2145)) * y + f(675675)) * y + f(64324260)) * y + f(1964187225)) * y
    q = ((((f(66) * y + f(45045)) * y + f(7567560)) * y + f(413513100)) * y + f(6547290750)) * y
    ratio = x * (p + f(13749310575)) / (q + f(13749310575))
    # The convergent grows like x / 66 beyond the range where it is accurate.
    return min(max(ratio, f(-1)), f(1))


@jit
def activate(values: Any, biases: Any, use_tanh: bool) -> None:
    """Add biases and apply the non-linearity to values, (n, n_units), in place."""
    zero = values.dtype.type(0)  # of the same type, so that float32 is not promoted to float64
    for i in range(values.shape[0]):
        if use_tanh:
            for j in range(values.shape[1]):
                values[i, j] = tanh(values[i, j] + biases[j])
        else:
            for j in range(values.shape[1]):
                values[i, j] = max(values[i, j] + biases[j], zero)


@jit
def add_biases(values: Any, biases: Any) -> None:
    """Add biases to values, (n, n_units), in place."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            values[i, j] += biases[j]
