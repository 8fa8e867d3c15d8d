"""How fast refusals go out: whoever is refused and asks again without waiting takes no time from the others."""

from __future__ import annotations

import asyncio
import time

# So many refusals a second go out at once; each further one is held for so many seconds, and goes out so long after the
# one before: many at a time would be sent again at the same time, and every other answer would wait for all of these.
AT_ONCE, HELD_SECONDS, APART_SECONDS = 20.0, 1.0, 0.01


class Pace:
    """An allowance of refusals, which fills up again with time."""

    def __init__(self) -> None:
        self._left, self._looked = AT_ONCE, time.monotonic()
        self._last = 0.0

    async def wait(self) -> None:
        """Wait as long as the next refusal should."""
        if delay := self.delay(time.monotonic()):
            await asyncio.sleep(delay)

    def delay(self, now: float) -> float:
        """The seconds for which a refusal of this moment is held."""
        self._left = min(AT_ONCE, self._left + (now - self._looked) * AT_ONCE)
        self._looked = now
        if self._left < 1:
            self._last = max(self._last + APART_SECONDS, now + HELD_SECONDS)
            return self._last - now
        self._left -= 1
        return 0.0
