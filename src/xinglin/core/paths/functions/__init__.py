"""The functions of the language by family; importing a family declares them."""

from . import collections, conversion, fhir, maths, strings
from .registry import FUNCTIONS, Function

__all__ = ["FUNCTIONS", "Function", "collections", "conversion", "fhir", "maths", "strings"]
