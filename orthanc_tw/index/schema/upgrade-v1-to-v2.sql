-- The log of exports.

-- /exports (LogExportedResources): what was sent, to whom. Text, for it outlives its resources.
CREATE TABLE exports (
  -- never given twice, not even after DELETE /exports
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  -- ResourceType of what was asked to be sent
  level INTEGER NOT NULL,
  -- its Orthanc identifier
  public_id TEXT NOT NULL,
  -- symbolic name of the modality or peer
  remote_modality TEXT NOT NULL,
  -- UTC, YYYYMMDDTHHMMSS
  date TEXT NOT NULL,
  -- PatientID
  patient_id TEXT NOT NULL,
  -- StudyInstanceUID, '' for a patient
  study_instance_uid TEXT NOT NULL,
  -- SeriesInstanceUID, '' for a patient and a study
  series_instance_uid TEXT NOT NULL,
  -- SOPInstanceUID, '' but for an instance
  sop_instance_uid TEXT NOT NULL
);
