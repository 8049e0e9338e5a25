"""The conformance suite that every transform passes, datakit's own and those of other packages.

    import pytest
    from datakit.testing import check_transform, transform_checks

    check_transform(Shout(into="loud"), [{"id": "a", "text": "hello"}, {"id": "b", "text": None}])

    @pytest.mark.parametrize("check", transform_checks(Shout(into="loud")), ids=str)
    def test_conforms(check):
        check()

A step is run through the engine on example records. It must be documented and survive YAML; give the same
output for any batch size and row order; keep ids, and touch only the columns, files and packages that it
declares; come through zero records and nulls; and give the output of its golden file, if the case names one.
What fails is an AssertionError that says what was expected and what to do. pytest is not needed.
"""

from datakit.testing._case import Case as Case
from datakit.testing._case import example_records as example_records
from datakit.testing._records import HeldRecords as HeldRecords
from datakit.testing._suite import Check as Check
from datakit.testing._suite import check_transform as check_transform
from datakit.testing._suite import checks_of as checks_of
from datakit.testing._suite import transform_checks as transform_checks

__all__ = [
    "Case",
    "Check",
    "HeldRecords",
    "check_transform",
    "checks_of",
    "example_records",
    "transform_checks",
]
