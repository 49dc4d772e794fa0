"""The one error that callers show to a person as a single line."""


class ClusterError(Exception):
    """Something about the environment or a process: the message says what, where, and what to do."""
