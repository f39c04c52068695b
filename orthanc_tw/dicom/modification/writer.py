"""The rewriting of a data set: walks the elements, and says which bytes take their place.

What does not change is copied from the source as it is, byte for byte, its VR and its length
included; only sequences in which something changes are encoded anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orthanc_tw.dicom.charset import CharacterSet, charsets_of
from orthanc_tw.dicom.document import Document, Element, Item
from orthanc_tw.dicom.modification.copying import Copier
from orthanc_tw.dicom.modification.edits import Edit, Edits, NewValue
from orthanc_tw.dicom.modification.encoding import ElementEncoding
from orthanc_tw.dicom.modification.iod_types import DUMMY_TEXT_VRS, dummy_text
from orthanc_tw.dicom.modification.leaks import Leaks
from orthanc_tw.dicom.modification.new_values import (
    ENCODED_VRS,
    NotEncodable,
    encode_value,
    is_encodable,
)
from orthanc_tw.dicom.modification.plan import ModificationSettings
from orthanc_tw.dicom.modification.policy import Policy
from orthanc_tw.dicom.modification.profile import Action
from orthanc_tw.dicom.modification.references import REFERENCES, TOP_REFERENCES, UidMap
from orthanc_tw.dicom.modification.report import CLEARED, KEPT, REMOVED, REPLACED, Report
from orthanc_tw.dicom.modification.rope import Rope
from orthanc_tw.dicom.tag_names import dictionary_vr, tag_name
from orthanc_tw.dicom.tags import format_tag, is_private
from orthanc_tw.model.errors import ErrorCode, OrthancError
from orthanc_tw.model.json_types import JsonValue

_CHARSET, _PATIENT_ID = 0x00080005, 0x00100020
_REFERENCED_CLASS = 0x00081150
_TRAILING_PADDING = 0xFFFCFFFC
_MAX_ITEM_INDEX = 9999


class DatasetWriter:
    """Rewrites one data set. Blocks on the document's file.

    :param top: new values of elements of the data set, by tag
    :param patient_id: answers the pseudonym of a PatientID, for those in sequences
    :param target_charset: what all text is encoded by anew; None: text stays as it is
    :param report: told what becomes of each element, if given
    :param encoded: whole elements of the data set, head and value, that are there already
    """

    def __init__(
        self,
        document: Document,
        policy: Policy,
        settings: ModificationSettings,
        *,
        top: Mapping[int, JsonValue],
        edits: Edits | None,
        uids: UidMap,
        patient_id: Callable[[str], str],
        encoding: ElementEncoding,
        private_creator: str | None = None,
        target_charset: CharacterSet | None = None,
        leaks: Leaks | None = None,
        report: Report | None = None,
        encoded: Mapping[int, Rope] | None = None,
    ) -> None:
        self._document = document
        self._policy = policy
        self._settings = settings
        self._top = top
        self._edits = edits
        self._uids = uids
        self._patient_id = patient_id
        self._encoding = encoding
        self._creator = private_creator
        self._target_charset = target_charset
        self._leaks = leaks
        self._report = report
        self._encoded = encoded or {}
        self._copier = Copier(document, encoding)

    def write(self) -> Rope:
        """The bytes of the new data set.

        :raises NotEncodable: if text does not fit the character set
        :raises OrthancError: if a new value does not fit its VR
        """
        return self._item(self._document.dataset, 0, self._edits, "")[0]

    def _item(
        self,
        item: Item,
        depth: int,
        edits: Edits | None,
        path: str,
        *,
        strict: bool = False,
        dummies: bool = False,
    ) -> tuple[Rope, bool]:
        """New bytes of an item, and whether they differ from the old ones.

        :param strict: what is neither kept nor set by path is removed
        :param dummies: text that stays gets dummy values
        """
        rope = Rope()
        as_it_is = (
            item.implicit == self._encoding.implicit
            and item.little_endian == self._encoding.little_endian
        )
        changed = False
        new: dict[int, JsonValue] = dict(self._top) if depth == 0 else {}
        if edits is not None:
            new.update(
                (tag, edit.value)
                for tag, edit in edits.leaves.items()
                if isinstance(edit, NewValue)
            )
        elements = item.elements
        encoded = self._encoded if depth == 0 else {}
        order = sorted({*elements, *new, *encoded, *(edits.steps if edits else ())})
        policy_action = self._policy.action
        report = self._report
        for tag in order:
            element = elements.get(tag)
            if tag in encoded:
                changed = True
                rope.extend(encoded[tag])
                continue
            if tag in new:
                changed = True
                self._set(rope, item, tag, element, new[tag], path)
                continue
            if element is None:
                created = self._created(item, tag, 0, edits)
                changed = changed or created.size_bytes > 0
                rope.extend(created)
                continue
            action = policy_action(tag, depth)
            saves = by_path = False
            if edits is not None:
                leaf: Edit | None = edits.leaves.get(tag)
                saves = edits.saves(tag)
                if isinstance(leaf, Action):
                    action, by_path = leaf, True
                elif strict and not saves:
                    action = Action.REMOVE
            elif strict:
                action = Action.REMOVE
            strict_below = action in (Action.REMOVE, Action.CLEAR) and saves
            if tag & 0xFFFF == 0 or (tag == _TRAILING_PADDING and self._policy.is_anonymization):
                changed = True
                continue
            if (
                depth
                and tag == _PATIENT_ID
                and self._policy.is_anonymization
                and not by_path
                and action in (Action.REMOVE, Action.CLEAR)
                and self._nested_patient_id(rope, item, element, path)
            ):
                changed = True
                continue
            if action is Action.REMOVE and not strict_below:
                changed = True
                if report:
                    self._tell(path, element, REMOVED)
                continue
            if action is Action.CLEAR and not strict_below:
                if element.length:
                    changed = True
                    rope.add(self._encoding.head(tag, element.vr, 0))
                    if report:
                        self._tell(path, element, CLEARED)
                    continue
            elif action is Action.DUMMY and element.items is None:
                if element.length and not element.is_encapsulated:
                    changed = True
                    self._set(rope, item, tag, element, dummy_text(element.vr), path)
                    continue
            elif action is Action.UID:
                if self._uid(rope, item, element, path):
                    changed = True
                    continue
            elif self._kept(
                rope, item, element, depth, edits, path, strict_below,
                dummies or action is Action.DUMMY,
            ):  # fmt: skip
                changed = True
                continue
            if report and element.items is None:
                self._tell(path, element, KEPT)
            if as_it_is and not element.has_bad_vr:
                self._copier.copy(rope, element)
            else:
                self._copier.reencode(rope, item, element)
        return rope, changed

    def _kept(
        self,
        rope: Rope,
        item: Item,
        element: Element,
        depth: int,
        edits: Edits | None,
        path: str,
        strict: bool,
        dummies: bool,
    ) -> bool:
        """An element that stays; answers whether it has changed all the same, and is written."""
        tag = element.tag
        if element.items is not None:
            return self._sequence(rope, item, element, depth, edits, path, strict, dummies)
        if tag == _CHARSET and depth and self._target_charset is not None:
            return True  # all items use the character set of the data set
        if element.vr == "UI":
            if tag in REFERENCES and depth:
                return self._uid(rope, item, element, path)
            value = (element.inline or b"").decode("ascii", "replace").strip(" \0")
            if (depth or tag in TOP_REFERENCES) and self._uids.is_changed(value):
                return self._uid(rope, item, element, path)
            return False
        if dummies and self._dummy(rope, item, element, path):
            return True
        if self._leaks_identity(element):
            rope.add(self._encoding.head(tag, element.vr, 0))
            if self._report:
                self._tell(path, element, CLEARED)
            return True
        return self._target_charset is not None and self._recode(rope, item, element, path)

    def _dummy(self, rope: Rope, item: Item, element: Element, path: str) -> bool:
        is_code = 0x00080100 in item.elements  # what a code means is the same for all patients
        if is_code or element.vr not in DUMMY_TEXT_VRS or not element.length:
            return False
        self._set(rope, item, element.tag, element, dummy_text(element.vr), path)
        return True

    def _leaks_identity(self, element: Element) -> bool:
        return (
            self._leaks is not None
            and self._leaks.has(element.vr, element.length, lambda: self._document.read(element))
            and not self._policy.is_kept_by_name(element.tag)
            and not is_private(element.tag)
        )

    def _sequence(
        self,
        rope: Rope,
        item: Item,
        element: Element,
        depth: int,
        edits: Edits | None,
        path: str,
        strict: bool,
        dummies: bool,
    ) -> bool:
        """A sequence; answers whether something in it has changed, and it is written."""
        tag = element.tag
        below = f"{path}{format_tag(tag)}[*]." if self._report else ""
        items = element.items or []
        content = Rope()
        changed = element.has_bad_vr or item.implicit != self._encoding.implicit
        changed = changed or item.little_endian != self._encoding.little_endian
        changed = changed or self._copier.is_cut(element)
        for index, nested in enumerate(items):
            inner = edits.below(tag, index) if edits is not None else None
            body, body_changed = self._item(
                nested, depth + 1, inner, below, strict=strict, dummies=dummies
            )
            content.add(self._encoding.item_head(body.size_bytes))
            content.extend(body)
            changed = changed or body_changed
        if edits is not None:
            created = self._created_items(item, tag, len(items), edits)
            changed = changed or created.size_bytes > 0
            content.extend(created)
        if changed:
            rope.add(self._encoding.head(tag, "SQ", content.size_bytes))
            rope.extend(content)
        return changed

    def _created(self, item: Item, tag: int, first: int, edits: Edits | None) -> Rope:
        """A sequence that a path leads into and that is not there."""
        rope = Rope()
        content = self._created_items(item, tag, first, edits) if edits else Rope()
        if content.size_bytes:
            rope.add(self._encoding.head(tag, "SQ", content.size_bytes))
            rope.extend(content)
        return rope

    def _created_items(self, item: Item, tag: int, first: int, edits: Edits) -> Rope:
        """Items behind the last one that paths with an index set values in."""
        rope = Rope()
        last = edits.last_index(tag)
        if last > _MAX_ITEM_INDEX:
            raise OrthancError(
                ErrorCode.PARAMETER_OUT_OF_RANGE,
                f"Index of an item is too large in a path into {format_tag(tag)}: {last}",
            )
        for index in range(first, last + 1):
            empty = Item({}, item.little_endian, item.specific_character_set, item.implicit)
            body, _ = self._item(empty, 1, edits.below(tag, index), "")
            rope.add(self._encoding.item_head(body.size_bytes))
            rope.extend(body)
        return rope

    def _set(
        self,
        rope: Rope,
        item: Item,
        tag: int,
        element: Element | None,
        value: JsonValue,
        path: str,
    ) -> None:
        vr = element.vr if element is not None else "UN"
        if vr == "UN" or element is None:
            creator = element.private_creator if element is not None else self._creator
            vr = dictionary_vr(tag, creator, dictionary=self._settings.dictionary)
        if vr == "UN" and isinstance(value, list):
            vr = "SQ"
        charset = self._target_charset or self._charset(item)
        data = encode_value(tag, vr, value, self._encoding, charset, self._settings.dictionary)
        rope.add(self._encoding.head(tag, vr, len(data)) + data)
        if self._report:
            self._report.add(path + format_tag(tag), tag_name(tag), REPLACED)

    def _uid(self, rope: Rope, item: Item, element: Element, path: str) -> bool:
        old = self._document.read(element).decode("ascii", "replace").strip(" \0")
        sibling = item.elements.get(_REFERENCED_CLASS)
        referenced = (sibling.inline or b"").decode("ascii", "replace") if sibling else ""
        new = self._uids.new(element.tag, old, referenced.strip(" \0"))
        if new == old:
            return False
        data = new.encode("ascii", "replace")
        data += b"\0" * (len(data) & 1)
        rope.add(self._encoding.head(element.tag, "UI", len(data)) + data)
        if self._report:
            self._tell(path, element, REPLACED)
        return True

    def _nested_patient_id(self, rope: Rope, item: Item, element: Element, path: str) -> bool:
        old = self._charset(item).decode(self._document.read(element)).strip(" \0")
        if not old:
            return False
        self._set(rope, item, _PATIENT_ID, element, self._patient_id(old), path)
        return True

    def _recode(self, rope: Rope, item: Item, element: Element, path: str) -> bool:
        """Encode text by the target character set; answers whether its bytes have changed."""
        if element.vr not in ENCODED_VRS or not element.length or self._target_charset is None:
            return False
        raw = self._document.read(element)
        if raw.isascii() and b"\x1b" not in raw:
            return False
        text = self._charset(item).decode(raw, is_person_name=element.vr == "PN")
        if not is_encodable(text, self._target_charset):
            raise NotEncodable
        data = self._target_charset.encode(text.rstrip(" "))
        data += b" " * (len(data) & 1)
        rope.add(self._encoding.head(element.tag, element.vr, len(data)) + data)
        if self._report:
            self._tell(path, element, KEPT)
        return True

    def _charset(self, item: Item) -> CharacterSet:
        return charsets_of(item.specific_character_set, self._settings.default_encoding)

    def _tell(self, path: str, element: Element, outcome: str) -> None:
        assert self._report is not None
        name = tag_name(element.tag, element.private_creator, self._settings.dictionary)
        self._report.add(path + format_tag(element.tag), name, outcome)
