"""What can go wrong, by what one can do about it."""

from __future__ import annotations


class EngramError(Exception):
    """A call failed. `str` gives what happened and, on a line of its own, the hint."""

    kind = "failed"
    """The server's word for this kind of failure."""

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what if hint is None else f"{what}\nhint: {hint}")
        self.what = what
        """What happened."""
        self.hint = hint
        """What to do about it, if the server knows."""


class NotFoundError(EngramError):
    """There is no such engram, agent, action or tool, or it is not yours to see."""

    kind = "not_found"


class InvalidError(EngramError):
    """An argument is missing or wrong; the hint gives an example."""

    kind = "invalid"


class ConflictError(EngramError):
    """It has changed since you looked."""

    kind = "conflict"


class DeniedError(EngramError):
    """The token, the rights or the grants do not allow it."""

    kind = "denied"


class QuotaError(EngramError):
    """The space is full."""

    kind = "quota"


class StorageError(EngramError):
    """The server's disk is full or fails."""

    kind = "storage"


class ClosedError(EngramError):
    """There is no server at the other end, or no longer."""

    kind = "closed"


class BusyError(EngramError):
    """Too much is being done at once; the same call may succeed later."""

    kind = "busy"


class TimedOutError(EngramError, TimeoutError):
    """It took longer than this client, or an agent's limit, allows. The server has stopped it."""

    kind = "timeout"


class BudgetError(EngramError):
    """An agent used more work or memory than its limits allow."""

    kind = "budget"


class FailedError(EngramError):
    """An agent failed by itself, or the server could not say more than a number in its log."""


_kinds: dict[str, type[EngramError]] = {
    cls.kind: cls
    for cls in (
        NotFoundError,
        InvalidError,
        ConflictError,
        DeniedError,
        QuotaError,
        StorageError,
        ClosedError,
        BusyError,
        TimedOutError,
        BudgetError,
        FailedError,
    )
}


def from_server(text: str, kind: str) -> EngramError:
    """Make the error that a server's words tell of; a kind that is newer than this client is a plain one."""
    what, _, hint = text.partition("\nhint: ")
    return _kinds.get(kind, EngramError)(what, hint or None)
