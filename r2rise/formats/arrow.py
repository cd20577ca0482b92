"""Reads Arrow files into NumPy arrays: nested lists of numbers, and nothing else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Convert pyarrow's exceptions for missing and damaged files.

    Raises:
        DemonstrationsError: If a file is missing or damaged.
    """
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as error:
        raise DemonstrationsError(f"There is no file {error.filename or path}.") from None
    except DemonstrationsError:
        raise
    except (
        *(pa.ArrowException, OSError, MemoryError),
        *(LookupError, OverflowError, TypeError, ValueError),
    ) as error:
        raise DemonstrationsError(f"{path} is damaged: {error}.") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        DemonstrationsError: If the file cannot be read, or does not hold an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DemonstrationsError(f"Cannot read {path}: {error}.") from None
    if not isinstance(content, dict):
        raise DemonstrationsError(f"{path} should hold a JSON object.")
    return content


def read_batches(path: Path) -> Iterator["pa.RecordBatch"]:
    """Yield the batches of a memory-mapped Arrow stream.

    They are validated first, so that no offset points outside of the file.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        for batch in reader:
            batch.validate(full=True)
            yield batch


def read_rows(files: list[Path], form: str) -> "pa.StructArray":
    """Return all rows of Arrow or Parquet files as one validated array of structures.

    Args:
        files: The files.
        form: `arrow` or `parquet`.

    Raises:
        DemonstrationsError: If there is no file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not files:
        raise DemonstrationsError("an episode has no file.")
    if form == "parquet":
        tables = [pq.read_table(file) for file in files]
    else:
        tables = [pa.ipc.open_file(pa.memory_map(str(file))).read_all() for file in files]
    rows = pa.concat_tables(tables).to_struct_array().combine_chunks()
    rows.validate(full=True)
    return rows


def list_cell(batch: "pa.RecordBatch", name: str, row: int) -> NDArray[Any]:
    """Return a cell of a column of lists as an array.

    Raises:
        DemonstrationsError: If it is not a list, is ragged, has missing values, or holds anything
            but numbers.
    """
    import pyarrow as pa

    column = batch.column(name)
    values = column.storage if isinstance(column, pa.ExtensionArray) else column
    if not _is_list(values.type) or not values[row].is_valid:
        raise DemonstrationsError(f"{name} should hold lists of numbers, got {values.type}.")
    return to_numpy(values[row].values, name)


def to_numpy(values: "pa.Array", name: str) -> NDArray[Any]:
    """Return nested lists of numbers as an array.

    Raises:
        DemonstrationsError: If they are ragged, have missing values, or hold anything but numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    shape = [len(values)]
    while _is_list(values.type):
        lengths = {length.as_py() for length in pc.unique(pc.list_value_length(values))}
        if len(lengths) > 1 or None in lengths:
            raise DemonstrationsError(f"{name} should hold lists of one length, got {lengths}.")
        shape.append(lengths.pop() if lengths else 0)
        values = values.flatten()
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if not (numeric or pa.types.is_boolean(values.type)) or values.null_count:
        raise DemonstrationsError(f"{name} should hold numbers, got {values.type}, or lacks some.")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)


def _is_list(data_type: "pa.DataType") -> bool:
    import pyarrow as pa

    checks = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(data_type) for check in checks)
