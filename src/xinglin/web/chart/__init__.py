"""From FHIR JSON to what a page shows: pure functions, shared by the portal and the workspace.

Resources come parsed (`core.schema.decode.parse`); results are the frozen values of `ui.parts` and of this package,
with texts in the reader's language.
"""
