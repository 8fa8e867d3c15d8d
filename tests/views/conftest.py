"""The browser of the report's tests, for sheets."""

from tests.reporting.conftest import browser

__all__ = ["browser"]
