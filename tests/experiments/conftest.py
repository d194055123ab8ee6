"""The small ISBI 2012 folder that the tests of the data sets write."""

from tests.datasets.em.conftest import isbi

__all__ = ["isbi"]
