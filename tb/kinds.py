"""Whether values that were read from a file are of the types that the program takes them for."""

from __future__ import annotations

import math
import types
import typing
from typing import Any, Final

#: Whole numbers are smaller, so that each is a float, too.
LARGEST: Final = 1 << 1023


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of a type as the fields of a dataclass have it; a whole number is a float as well."""
    of, inner = typing.get_origin(kind), typing.get_args(kind)
    if of is types.UnionType:
        return any(fits(value, one) for one in inner)
    if of in (tuple, list):
        return isinstance(value, of) and all(fits(one, inner[0]) for one in value)
    if of is dict:
        return isinstance(value, dict) and all(fits(one, inner[1]) for one in value.values())
    if kind in (int, float):
        if isinstance(value, int) and not isinstance(value, bool):
            return abs(value) < LARGEST
        return kind is float and isinstance(value, float) and math.isfinite(value)
    return isinstance(value, kind)
