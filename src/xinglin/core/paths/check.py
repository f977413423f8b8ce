from .syntax import Tree


def check(tree: Tree, source: str, type: str | None, strict: bool) -> None:
    pass
