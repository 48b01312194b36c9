"""The command line: the composition root. It may import everything, and nothing imports it."""


def main() -> None:
    """Run `deskhand`."""
