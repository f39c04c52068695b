"""The DICOM network: upper layer, DIMSE, providers (scp) and users (scu) of services."""
