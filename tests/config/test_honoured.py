"""What the catalogue says of itself."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import orthanc_tw
from orthanc_tw.config.options import OPTIONS

# Options of what is not built yet, by what they wait for. They only go from here.
WAITING = {
    "WebDAV": ("WebDavEnabled", "WebDavDeleteAllowed", "WebDavUploadAllowed"),
}


class HonouredTests(SynchronousTestCase):
    def test_read(self) -> None:
        """An option is marked as honoured if, and only if, something reads it."""
        package = Path(orthanc_tw.__file__).parent
        catalogue = package / "config" / "options"
        source = " ".join(
            path.read_text(encoding="utf-8")
            for path in package.rglob("*.py")
            if catalogue not in path.parents
        )
        reader = r"\b(?:boolean|integer|number|text|strings|mapping|paths?|is_set|get|optional_\w+)"
        read = set(re.findall(reader + r"\(\s*\"(\w+)\"", source))
        honoured = {option.name for option in OPTIONS.values() if option.honoured}
        self.assertEqual(honoured - read, set())
        self.assertEqual(set(OPTIONS) & read - honoured, set())

    def test_reasons(self) -> None:
        """An option acts, or it is said why it has nothing to act on, or what it waits for."""
        waiting = {name for names in WAITING.values() for name in names}
        self.assertEqual(waiting - set(OPTIONS), set())
        for option in OPTIONS.values():
            if option.honoured:
                self.assertNotIn(option.name, waiting)
                self.assertEqual(option.inapplicable, "", option.name)
            else:
                self.assertTrue(option.inapplicable or option.name in waiting, option.name)
                self.assertFalse(option.inapplicable and option.name in waiting, option.name)
