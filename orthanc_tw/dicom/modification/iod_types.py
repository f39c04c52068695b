"""Where an attribute must not be missing: types of attributes by SOP class (PS3.3, PS3.5 7.4).

The profile leaves a choice to the type that an attribute has in the IOD (PS3.15 E.1.1: ``X/Z/D``
is to remove what is of type 3, to empty what is of type 2, and to give a dummy value to what is
of type 1). Owns the reading of ``data/iod_types.tsv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from orthanc_tw.dicom.modification.profile import Action
from orthanc_tw.dicom.tags import parse_tag

_PREFIX = "1.2.840.10008.5.1.4.1.1."
# Their anonymization is compared with Orthanc's element by element, which removes and empties
# what the IOD requires
AS_ORTHANC = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
        "1.2.840.10008.5.1.4.1.1.481.3",  # RT Structure Set
        "1.2.840.10008.5.1.4.1.1.481.5",  # RT Plan
    )
)
"""SOP classes whose required attributes are kept only if the request or an option asks for it."""
_ACTIONS = {"1": Action.DUMMY, "2": Action.CLEAR}
_NOTHING: Mapping[int, Action] = {}
# VRs without an entry get no dummy but are emptied; DICOM knows no year before that of its dates
_DUMMIES = {
    "AE": "ANONYMIZED",
    "AS": "000Y",
    "CS": "ANONYMIZED",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "FD": "0",
    "FL": "0",
    "IS": "0",
    "LO": "ANONYMIZED",
    "LT": "ANONYMIZED",
    "PN": "Anonymized",
    "SH": "ANONYMIZED",
    "SL": "0",
    "SS": "0",
    "ST": "ANONYMIZED",
    "TM": "000000",
    "UC": "ANONYMIZED",
    "UL": "0",
    "US": "0",
    "UT": "ANONYMIZED",
}
DUMMY_TEXT_VRS = frozenset(("DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UT"))
"""What gets a dummy value inside a sequence that is to have one."""


def required_actions(sop_class: str, *, nested: bool) -> Mapping[int, Action]:
    """What becomes, instead of removal, of attributes of a SOP class, by tag.

    :param nested: of those in items of sequences
    """
    return _by_class().get((sop_class, nested), _NOTHING)


def dummy_text(vr: str) -> str:
    """A value of that VR that says nothing; '' if there is none."""
    return _DUMMIES.get(vr, "")


@lru_cache(maxsize=1)
def _by_class() -> dict[tuple[str, bool], dict[int, Action]]:
    found: dict[tuple[str, bool], dict[int, Action]] = {}
    data = files("orthanc_tw.dicom") / "data" / "iod_types.tsv"
    for line in data.read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        tag, place, attribute_type, classes = line.split("\t")
        for sop_class in classes.split(" "):
            key = sop_class.replace("*", _PREFIX), place == "nested"
            actions = found.setdefault(key, {})
            actions.setdefault(parse_tag(tag), _ACTIONS[attribute_type])
    return found
