"""Arrow files as NumPy arrays: lists of lists of numbers, and nothing else."""

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
def refusing(path: Path) -> Iterator[None]:
    """Turn what pyarrow says of damaged files into an error of ours.

    Raises:
        DemonstrationsError: When a file is damaged.
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
        DemonstrationsError: When there is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DemonstrationsError(f"Cannot read {path}: {error}.") from None
    if not isinstance(found, dict):
        raise DemonstrationsError(f"{path} should hold a JSON object.")
    return found


def batches(path: Path) -> Iterator["pa.RecordBatch"]:
    """Yield the batches of a memory-mapped Arrow stream, checked: no offset leads outside."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
        for batch in reader:
            batch.validate(full=True)
            yield batch


def table(files: list[Path], form: str) -> "pa.StructArray":
    """Return all rows of Arrow or Parquet files as one array of structures, checked.

    Raises:
        DemonstrationsError: When there is no file.
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


def item(batch: "pa.RecordBatch", name: str, row: int) -> NDArray[Any]:
    """Return one row of a column of lists as an array.

    Raises:
        DemonstrationsError: When it is no list, is ragged, lacks values or holds other things
            than numbers.
    """
    import pyarrow as pa

    column = batch.column(name)
    values = column.storage if isinstance(column, pa.ExtensionArray) else column
    if not _is_list(values.type) or not values[row].is_valid:
        raise DemonstrationsError(f"{name} should hold lists of numbers, got {values.type}.")
    return to_numpy(values[row].values, name)


def to_numpy(values: "pa.Array", name: str) -> NDArray[Any]:
    """Return lists of lists of numbers, all of the same lengths, as an array.

    Raises:
        DemonstrationsError: When they are ragged, lack values or hold other things than numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    shape = [len(values)]
    while _is_list(values.type):
        lengths = {one.as_py() for one in pc.unique(pc.list_value_length(values))}
        if len(lengths) > 1 or None in lengths:
            raise DemonstrationsError(f"{name} should hold lists of one length, got {lengths}.")
        shape.append(lengths.pop() if lengths else 0)
        values = values.flatten()
    numeric = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if not (numeric or pa.types.is_boolean(values.type)) or values.null_count:
        raise DemonstrationsError(f"{name} should hold numbers, got {values.type}, or lacks some.")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)


def _is_list(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    checks = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in checks)
