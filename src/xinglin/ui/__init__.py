"""The floor all pages stand on: one template environment, components, design tokens, languages, forms.

A page calls `templating.render(request, "web/templates/...html", **context)`; its template extends
`ui/layout.html` and composes the macros of `ui/components` (`{{ ui.button(_("Save")) }}`), which need no import.
The reference for writers of pages is docs/explanation/pages.md.
"""
