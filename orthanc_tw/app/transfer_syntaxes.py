"""Which transfer syntaxes are accepted, by the new option and by those that it supersedes."""

from __future__ import annotations

from orthanc_tw.config import Configuration
from orthanc_tw.dicom.uids import accepted_transfer_syntaxes


def transfer_syntaxes(configuration: Configuration) -> list[str]:
    """``AcceptedTransferSyntaxes``; without it, all but the families that older options refuse."""
    accepted = accepted_transfer_syntaxes(configuration.strings("AcceptedTransferSyntaxes"))
    if configuration.is_set("AcceptedTransferSyntaxes"):
        return accepted
    jpeg = "1.2.840.10008.1.2.4."
    families = (
        (
            configuration.optional_boolean("DeflatedTransferSyntaxAccepted"),
            ("1.2.840.10008.1.2.1.99",),
        ),
        (
            configuration.optional_boolean("JpegTransferSyntaxAccepted"),
            (f"{jpeg}5?", f"{jpeg}6?", f"{jpeg}70"),
        ),
        (
            configuration.optional_boolean("JpegLosslessTransferSyntaxAccepted"),
            (f"{jpeg}80", f"{jpeg}81"),
        ),
        (
            configuration.optional_boolean("Jpeg2000TransferSyntaxAccepted"),
            (f"{jpeg}90", f"{jpeg}91", f"{jpeg}92", f"{jpeg}93"),
        ),
        (configuration.optional_boolean("JpipTransferSyntaxAccepted"), (f"{jpeg}94", f"{jpeg}95")),
        (
            configuration.optional_boolean("Mpeg2TransferSyntaxAccepted"),
            (f"{jpeg}100", f"{jpeg}101"),
        ),
        (
            configuration.optional_boolean("Mpeg4TransferSyntaxAccepted"),
            (f"{jpeg}102", f"{jpeg}103", f"{jpeg}104", f"{jpeg}105", f"{jpeg}106"),
        ),
        (
            configuration.optional_boolean("H265TransferSyntaxAccepted"),
            (f"{jpeg}107", f"{jpeg}108"),
        ),
        (configuration.optional_boolean("RleTransferSyntaxAccepted"), ("1.2.840.10008.1.2.5",)),
    )
    refused = {
        uid
        for is_accepted, patterns in families
        if is_accepted is False
        for uid in accepted_transfer_syntaxes(patterns)
    }
    return [uid for uid in accepted if uid not in refused]
