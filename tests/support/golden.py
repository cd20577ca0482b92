"""Maps that are like the golden one but for their values."""

import numpy as np
from places import DATA

from r2rise import ImportanceMap

GOLDEN = ImportanceMap.load(DATA / "importance_map-1.0.json")
KNOWN = np.isfinite(GOLDEN.importance)


def changed(**fields) -> ImportanceMap:
    return GOLDEN.model_copy(update=fields)


def with_values(values, std_error=1.0, degrees=None) -> ImportanceMap:
    """Return the golden map with other values where it has any."""
    importance, errors = np.full((2, len(GOLDEN)), np.nan)
    importance[KNOWN] = values
    errors[KNOWN] = std_error
    return changed(importance=importance, std_error=errors, degrees_of_freedom=degrees)
