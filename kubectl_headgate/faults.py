"""What the command cannot do, in words for the person who ran it."""


class Unreadable(Exception):  # noqa: N818 - it names what happened
    """Something that is needed cannot be read. The message says what, and how to mend it."""
