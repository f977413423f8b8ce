"""stand-in until demo lands"""

EXAMPLE = ""


def demo() -> None:
    """Demo."""
