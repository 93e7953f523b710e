"""The command line: one file for each command, with `add(commands)` and `run(arguments) -> int`."""


class UsageError(Exception):
    """What the user asked for cannot be done; the message is one line for them."""
