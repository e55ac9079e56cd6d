"""Every error this program raises on purpose.

A docstring is the default message; facts are attributes; the command line prints ``str(error)``
and, where there is one, the remedy.

::

    DistributorError
    ├── ConfigError            the configuration cannot be used
    ├── Refused                an order that the desk will not carry out
    │   ├── NotFound           no such release, list, contact …
    │   ├── IllegalMove        a state may not be reached from another
    │   └── EmbargoUnclear     a time that must be stated exactly
    ├── InputError             material that cannot be read at all
    ├── MessageError           a mail that must not leave
    │   └── TemplateError      a template that cannot be rendered
    ├── RelayError             the mail server or the way to it
    ├── LookupFailed           the DNS could not be asked
    ├── InquiryFailed          a mail server's own record could not be asked
    ├── DemoFailed             the demo did not show what it promises
    └── StoreError             the database
        ├── StoreBusy          somebody else holds the database
        ├── StoreFull          the disk is full or read-only
        └── SchemaMismatch     the database is of another version
"""

from __future__ import annotations


class DistributorError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None, *, remedy: str | None = None) -> None:
        """Keep the message and what a person can do about it."""
        super().__init__(message or type(self).__doc__)
        self.remedy = remedy


class ConfigError(DistributorError):
    """The configuration cannot be used."""


class Refused(DistributorError):
    """The desk does not carry out this order."""


class NotFound(Refused):
    """There is no such thing."""


class IllegalMove(Refused):
    """That state cannot be reached from the present one."""

    def __init__(self, *, before: str, after: str) -> None:
        """Name both states."""
        super().__init__(f"{before} cannot become {after}")
        self.before = before
        self.after = after


class EmbargoUnclear(Refused):
    """The embargo must be stated exactly."""

    def __init__(self, message: str, *, choices: tuple[str, ...] = ()) -> None:
        """Keep the wordings that would be exact."""
        remedy = "State one of: " + "; ".join(choices) if choices else None
        super().__init__(message, remedy=remedy)
        self.choices = choices


class InputError(DistributorError):
    """The material cannot be read."""


class MessageError(DistributorError):
    """The mail is not well-formed and does not leave."""


class TemplateError(MessageError):
    """The template cannot be rendered."""


class RelayError(DistributorError):
    """The mail server cannot be used.

    ``permanent`` is True when trying again cannot help (wrong password, stripped STARTTLS).
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        code: int | None = None,
        permanent: bool = False,
        remedy: str | None = None,
    ) -> None:
        """Keep the server's reply code, if it said one."""
        super().__init__(message, remedy=remedy)
        self.code = code
        self.permanent = permanent


class LookupFailed(DistributorError):
    """The DNS could not be asked."""


class InquiryFailed(DistributorError):
    """The mail server's own record could not be asked."""


class DemoFailed(DistributorError):
    """The demo did not show what it promises."""


class StoreError(DistributorError):
    """The database cannot be used."""


class StoreBusy(StoreError):
    """Another process has held the database for too long."""


class StoreFull(StoreError):
    """The disk is full or read-only: nothing was written."""


class SchemaMismatch(StoreError):
    """The database is of another version than this program."""
