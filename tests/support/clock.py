"""A clock that tests move."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Starts at a fixed time and moves only when told; every reading is a microsecond later than the one before."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(microseconds=1)
        return self._now

    def pass_by(self, **amount: float) -> datetime:
        self._now += timedelta(**amount)
        return self._now
