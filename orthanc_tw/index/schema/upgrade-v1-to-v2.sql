-- The log of exports, pages by number, the newest studies, and jobs that are tried again.

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

-- The studies that changed last: what a list in a browser begins with.
CREATE INDEX studies_by_update ON resources(last_update) WHERE level = 2;

-- How many resources of a level have a public identifier that begins so: what a page that is
-- asked for by its number skips over.
CREATE TABLE ranks (
  -- as in resources
  level INTEGER NOT NULL,
  -- first three characters of public_id
  prefix TEXT NOT NULL,
  -- resources, 0 where all are gone
  amount INTEGER NOT NULL,
  PRIMARY KEY (level, prefix)
) WITHOUT ROWID;
INSERT INTO ranks (level, prefix, amount)
  SELECT level, substr(public_id, 1, 3), count(*) FROM resources GROUP BY 1, 2;
CREATE TRIGGER ranks_insert AFTER INSERT ON resources
BEGIN
  INSERT INTO ranks (level, prefix, amount)
    VALUES (NEW.level, substr(NEW.public_id, 1, 3), 1)
    ON CONFLICT (level, prefix) DO UPDATE SET amount = amount + 1;
END;
CREATE TRIGGER ranks_delete AFTER DELETE ON resources
BEGIN
  UPDATE ranks SET amount = amount - 1
    WHERE level = OLD.level AND prefix = substr(OLD.public_id, 1, 3);
END;

-- What is to be done about transient failures of a job, see the column in sqlite-v3.sql.
ALTER TABLE jobs ADD COLUMN retry TEXT;
