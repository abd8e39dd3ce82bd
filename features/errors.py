"""What a command may end with: every refusal names the file, row, column or key and what would be right."""


class OkaeriError(Exception):
    """Our own fault, or the machine's: the command ends with exit code 1."""

    exit_code = 1


class BadInput(OkaeriError):
    """The shop's files, mapping or arguments cannot be read as they are: exit code 2."""

    exit_code = 2


class Refused(OkaeriError):
    """Safe to try again later, or to overrule: a lock is held or a gate said no: exit code 4."""

    exit_code = 4


class Damaged(OkaeriError):
    """A file of ours is not the one its manifest describes: it is not read."""
