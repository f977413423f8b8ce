"""FHIRPath: `paths.compile("Patient.name.given")(resource)` gives a list of plain JSON values.

lexer -> parser -> syntax tree -> fast.py (plain paths) or compiler.py (the whole language): closures over parsed JSON.
Usable alone: it needs only the R4 definitions of core/schema and the units of core/ucum.
"""

from .environment import Environment
from .errors import PathError, PathTooCostly
from .path import Evaluation, Path, compile, search

__all__ = ["Environment", "Evaluation", "Path", "PathError", "PathTooCostly", "compile", "search"]
