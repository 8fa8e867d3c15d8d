"""The browser of the report's tests, for sheets."""

from tests.report.conftest import browser

__all__ = ["browser"]
