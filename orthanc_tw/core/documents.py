"""The tags inside stored DICOM files. Called in the reactor thread, works in others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TypeVar

from twisted.internet.defer import Deferred

from orthanc_tw.core.runtime import RuntimeOptions
from orthanc_tw.dicom.content import ContentList, ContentValue, content
from orthanc_tw.dicom.dicom_json import dicom_json
from orthanc_tw.dicom.document import Item
from orthanc_tw.dicom.encapsulated_document import encapsulated_pdf
from orthanc_tw.dicom.parser import read_document
from orthanc_tw.dicom.tag_json import TagFormat, TagOptions, item_json
from orthanc_tw.dicom.tags import UserDictionary, format_tag, parse_tag
from orthanc_tw.index.gateway import Attachment
from orthanc_tw.model.json_types import JsonObject
from orthanc_tw.storage.interface import Storage

T = TypeVar("T")
InThread = Callable[..., Deferred[Any]]


class Documents:
    """Reads files of the storage area.

    :param in_thread: runs a blocking function in a thread
    :param dictionary: elements that option ``Dictionary`` adds
    """

    def __init__(
        self,
        storage: Storage,
        in_thread: InThread,
        options: RuntimeOptions,
        dictionary: UserDictionary | None = None,
    ) -> None:
        self._storage = storage
        self._in_thread = in_thread
        self._options = options
        self._dictionary = dictionary

    def tag(self, name: str) -> int:
        """The tag of a name or number, with those that the configuration adds.

        :raises OrthancError: UNKNOWN_DICOM_TAG
        """
        return parse_tag(name, self._dictionary or UserDictionary())

    def tag_options(self, ignore_length: Iterable[int] = ()) -> TagOptions:
        """How text is made, with the default encoding of this moment."""
        return TagOptions(
            default_encoding=self._options.default_encoding,
            ignore_length=frozenset(ignore_length),
            dictionary=self._dictionary,
        )

    def read(self, attachment: Attachment, fn: Callable[[BinaryIO], T]) -> Deferred[T]:
        """Run ``fn`` on the uncompressed content of an attachment, in a thread.

        :raises OrthancError: (in the Deferred) INEXISTENT_FILE if its file is lost
        """
        return self._in_thread(self._read, attachment, fn)

    def _read(self, attachment: Attachment, fn: Callable[[BinaryIO], T]) -> T:
        with self._storage.open(attachment.uuid, attachment.compression) as file:
            return fn(file)

    def entries(self, attachment: Attachment, tags: Sequence[int]) -> Deferred[JsonObject]:
        """Some tags of a file by ``gggg,eeee``, each as in the format ``full``; None if absent."""
        options = self.tag_options()

        def read(file: BinaryIO) -> JsonObject:
            document = read_document(file, stop_at_pixels=True, dictionary=options.dictionary)
            try:
                dataset = document.dataset
                found = {}
                for tag in tags:
                    element = document.meta.elements.get(tag) or dataset.elements.get(tag)
                    if element is not None:
                        found[tag] = element
                item = Item(found, dataset.little_endian, dataset.specific_character_set)
                shown = item_json(document, item, TagFormat.FULL, options)
                return {format_tag(tag): shown.get(format_tag(tag)) for tag in tags}
            finally:
                document.close()

        return self.read(attachment, read)

    async def texts(self, attachment: Attachment, tags: Sequence[int]) -> Mapping[int, str | None]:
        """Text of some tags of a file; None if a tag is absent or no text."""
        texts: dict[int, str | None] = {}
        for tag, entry in (await self.entries(attachment, tags)).items():
            value = entry.get("Value") if isinstance(entry, Mapping) else None
            texts[parse_tag(tag)] = value if isinstance(value, str) else None
        return texts

    async def content(
        self, attachment: Attachment, path: Sequence[str]
    ) -> tuple[ContentList | ContentValue | None, Callable[[], None]]:
        """What is at a path of tags and indices, and what to call once it has been read.

        :raises OrthancError: UNKNOWN_DICOM_TAG
        """
        found: tuple[ContentList | ContentValue | None, Callable[[], None]] = await self._in_thread(
            self._content, attachment, path
        )
        return found

    async def pdf(self, attachment: Attachment) -> tuple[ContentValue | None, Callable[[], None]]:
        """The PDF that an instance is, and what to call once it has been read."""
        found: tuple[ContentValue | None, Callable[[], None]] = await self._in_thread(
            self._opened, attachment, lambda file: encapsulated_pdf(file, self._dictionary)
        )
        return found

    async def dicom_json(
        self, attachment: Attachment
    ) -> tuple[Iterator[bytes], Callable[[], None]]:
        """A file as DICOM JSON, to be iterated in threads, and what to call afterwards."""
        options = self.tag_options()

        def start() -> tuple[Iterator[bytes], Callable[[], None]]:
            file = self._storage.open(attachment.uuid, attachment.compression)
            try:
                return dicom_json(file, options), file.close
            except BaseException:
                file.close()
                raise

        found: tuple[Iterator[bytes], Callable[[], None]] = await self._in_thread(start)
        return found

    def _content(
        self, attachment: Attachment, path: Sequence[str]
    ) -> tuple[ContentList | ContentValue | None, Callable[[], None]]:
        return self._opened(attachment, lambda file: content(file, path, self._dictionary))

    def _opened(
        self, attachment: Attachment, find: Callable[[BinaryIO], T]
    ) -> tuple[T, Callable[[], None]]:
        """What is found in a file, which stays open if that is a value to be read."""
        file = self._storage.open(attachment.uuid, attachment.compression)
        try:
            found = find(file)
        except BaseException:
            file.close()
            raise
        if not isinstance(found, ContentValue):
            file.close()
            return found, file.close

        def close() -> None:
            found.document.close()
            file.close()

        return found, close
