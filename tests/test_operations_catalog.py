"""The guide's 28 operations, by its own names."""

import inspect
import re

import pytest

from specchem.enrollments import operations as enrollments
from specchem.events import operations as events
from specchem.people import operations as people
from specchem.progress import operations as progress
from specchem.reporting import operations as reporting

GUIDE = {
    people: (
        "createProfile getProfileById getProfileByIdWithPlant assignAdminRole getUserRoles isUserAdmin"
        " isUserPlantManager isUserHRAdmin"
    ),
    enrollments: (
        "createEnrollment updateEnrollment completeEnrollment getUserEnrollments getPlantEnrollments"
        " getEnrollmentStats"
    ),
    progress: "updateProgress markProgress getUserProgress getPlantProgress",
    events: (
        "recordQuestionEvent recordActivityEvent getUserQuestionEvents getQuestionDifficulty"
        " getUserActivityTimeline"
    ),
    reporting: (
        "getPlantCompletionRate getPlantProgressSummary getMostMissedQuestions getUserActivitySummary"
        " getOrgWideCompletionStats"
    ),
}
OPERATIONS = [
    (module, re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=HR)(?=A)", "_", name).lower())
    for module, names in GUIDE.items()
    for name in names.split()
]


def test_there_are_28() -> None:
    assert len(set(OPERATIONS)) == 28


@pytest.mark.parametrize(("module", "name"), OPERATIONS, ids=[name for _, name in OPERATIONS])
def test_each_takes_the_database_first_and_never_the_caller(module: object, name: str) -> None:
    operation = getattr(module, name)
    parameters = list(inspect.signature(operation).parameters.values())
    assert inspect.iscoroutinefunction(operation)
    assert parameters[0].name == "db"
    assert not {"caller", "identity", "me"} & {parameter.name for parameter in parameters}
    assert (operation.__doc__ or "").strip()
