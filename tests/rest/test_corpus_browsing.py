"""The recorded topics of browsing, replayed in memory: all that is not built yet is named."""

from twisted.trial.unittest import SynchronousTestCase

from tests.rest.browsing import replay

SYSTEM = {0}  # /system has two fields of our own


class CorpusTests(SynchronousTestCase):
    """Numbers are those of the exchanges that differ from the recording, and why."""

    def _check(self, topic, *expected):
        mismatches = replay(topic)
        unexpected = {n: mismatches[n] for n in mismatches if n not in set().union(*expected)}
        self.assertEqual(unexpected, {})
        self.assertEqual(set(mismatches), set().union(*expected))

    def test_system(self):
        """System and settings of /tools."""
        dicom_echo, lists = set(range(197, 202)), {206, 207, 208, 209}
        transfers_as_plugin = {16}
        self._check("01-system", SYSTEM, dicom_echo, lists, transfers_as_plugin)

    def test_configured(self):
        """The same with other options, and what they do to instances."""
        lua, sizes_of_files = {10, 11}, {*range(23, 28), *range(37, 41)}
        self._check("02-system-configured", SYSTEM, lua, sizes_of_files)

    def test_browsing(self):
        """Lists, resources, relatives, modules."""
        negative_since = {40, 68, 96, 124}
        unknown_tag = {1129, 1130}
        archive = {1153, 1170, 1187}
        self._check("10-browsing", negative_since, unknown_tag, archive)

    def test_stable(self):
        """Resources become stable as time goes by."""
        self._check("11-stable")

    def test_charsets(self):
        """Character sets and default encodings."""
        iso_2022_escapes = {31, 32, 51, 52}  # followed here, left as they are by Orthanc
        self._check("13-charsets-ascii", iso_2022_escapes)
        self._check("13-charsets-utf8", iso_2022_escapes)

    def test_metadata_attachments(self):
        """Metadata and attachments, with and without checks of their revisions."""
        self._check("14-metadata-attachments")
        self._check("14-metadata-attachments-revisions")

    def test_labels(self):
        """Labels and protection."""
        self._check("15-labels")

    def test_find(self):
        """Searches; where Orthanc answers bad input by 500, this is 400 or an empty list."""
        bad_input = {86, 131, *range(199, 203), *range(219, 223), 306, 322, 330, 331}
        bad_query = {363, 364, 367, 368}
        self._check("16-find", bad_input, bad_query)

    def test_find_limits(self):
        """Limits of searches, and searches that may not open files."""
        self._check("17-find-limits")

    def test_no_patient_level(self):
        """Without the level of patients."""
        modification = {16, 17}
        self._check("53-no-patient-level", SYSTEM, modification)
