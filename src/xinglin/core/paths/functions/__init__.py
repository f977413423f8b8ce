"""The functions of the language by family; importing a family declares them."""

from . import aggregates, collections, conversion, fhir, maths, moments, strings
from .registry import FUNCTIONS, Function

__all__ = ["FUNCTIONS", "Function", "aggregates", "collections", "conversion", "fhir", "maths", "moments", "strings"]
