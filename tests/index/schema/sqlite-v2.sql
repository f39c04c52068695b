-- The index of orthanc-tw, version 2. See orthanc_tw/index/__init__.py for the design.
-- A change of this file is a new version: sqlite-vN.sql and upgrade-vM-to-vN.sql.

-- One row: what this file is.
CREATE TABLE database_info (
  schema_version INTEGER NOT NULL,  -- version of this schema; the server refuses a newer one
  database_uuid TEXT NOT NULL       -- made at creation, stable for the life of the file
);

-- One row a patient, study, series or instance. Narrow, for it is what is scanned and joined.
CREATE TABLE resources (
  -- never reused (AUTOINCREMENT): callers keep it from one transaction to the next
  internal_id INTEGER PRIMARY KEY AUTOINCREMENT,
  -- 1 patient, 2 study, 3 series, 4 instance (ResourceType)
  level INTEGER NOT NULL,
  -- Orthanc identifier: five groups of eight hexadecimal digits
  public_id TEXT NOT NULL,
  -- the resource of the level above; NULL for a patient
  parent_id INTEGER REFERENCES resources(internal_id) ON DELETE CASCADE,
  -- UTC, YYYYMMDDTHHMMSS, of the last instance received below; NULL for an instance
  last_update TEXT,
  -- POSIX seconds of the last instance received below, NULL once stable and for an instance
  unstable_since_s REAL,
  -- instances below; NULL for an instance
  count_instances INTEGER,
  -- bytes on disk of all attachments of it and of all below; NULL for an instance
  disk_size_bytes INTEGER,
  -- the same before compression
  uncompressed_size_bytes INTEGER,
  -- bytes on disk of the DICOM attachments alone
  dicom_disk_size_bytes INTEGER,
  -- the same before compression
  dicom_uncompressed_size_bytes INTEGER
);
-- Listing a level in order with keyset paging; the look-up of a public identifier.
CREATE UNIQUE INDEX resources_by_public_id ON resources(level, public_id);
-- Children in order without touching the rows.
CREATE INDEX resources_by_parent ON resources(parent_id, public_id);
-- What the stability timer looks at: only unstable rows are in it.
CREATE INDEX resources_unstable ON resources(unstable_since_s, level DESC)
  WHERE unstable_since_s IS NOT NULL;

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

-- The wide part of a resource, one row each, read only when it is shown.
CREATE TABLE resource_data (
  -- the resource
  internal_id INTEGER PRIMARY KEY REFERENCES resources(internal_id) ON DELETE CASCADE,
  -- main DICOM tags: JSON object, "gggg,eeee" to text
  tags TEXT NOT NULL,
  -- metadata: JSON object, number to value, or to [value, revision] if the revision is not 0
  metadata TEXT NOT NULL
);

-- Normalized values of the tags that queries usually name (orthanc_tw/index/normalize.py).
CREATE TABLE identifiers (
  -- the resource that owns the tag
  internal_id INTEGER NOT NULL REFERENCES resources(internal_id) ON DELETE CASCADE,
  -- group * 65536 + element
  tag INTEGER NOT NULL,
  -- upper case, without accents; '' if the tag is there but empty
  value TEXT NOT NULL,
  PRIMARY KEY (internal_id, tag)
) WITHOUT ROWID;
-- From a value to resources: equality, ranges and prefixes.
CREATE INDEX identifiers_by_value ON identifiers(tag, value, internal_id);

-- Files of the storage area. A file that has no row here is removed at start.
CREATE TABLE attachments (
  -- the resource it belongs to
  internal_id INTEGER NOT NULL REFERENCES resources(internal_id) ON DELETE CASCADE,
  -- ContentType, or 1024 and above for those of users
  content_type INTEGER NOT NULL,
  -- key in the storage area
  uuid TEXT NOT NULL,
  -- Compression
  compression INTEGER NOT NULL,
  -- bytes before compression
  size_bytes INTEGER NOT NULL,
  -- hexadecimal MD5 before compression, '' if not computed
  md5 TEXT NOT NULL,
  -- bytes on disk
  stored_size_bytes INTEGER NOT NULL,
  -- hexadecimal MD5 of what is on disk; NULL if it is the same as md5
  stored_md5 TEXT,
  -- counted up by each replacement
  revision INTEGER NOT NULL,
  PRIMARY KEY (internal_id, content_type)
) WITHOUT ROWID;
CREATE UNIQUE INDEX attachments_by_uuid ON attachments(uuid);

CREATE TABLE labels (
  -- the resource
  internal_id INTEGER NOT NULL REFERENCES resources(internal_id) ON DELETE CASCADE,
  -- letters, digits, '_' and '-'
  label TEXT NOT NULL,
  PRIMARY KEY (internal_id, label)
) WITHOUT ROWID;
CREATE INDEX labels_by_label ON labels(label, internal_id);

-- /changes. Those of a deleted resource go with it, as Orthanc's do.
CREATE TABLE changes (
  -- given out from counters.last_change_seq, never twice
  seq INTEGER PRIMARY KEY,
  -- ChangeType
  change_type INTEGER NOT NULL,
  -- the resource that changed
  internal_id INTEGER NOT NULL REFERENCES resources(internal_id) ON DELETE CASCADE,
  -- UTC, YYYYMMDDTHHMMSS
  date TEXT NOT NULL
);
CREATE INDEX changes_by_resource ON changes(internal_id);
-- For ?type=: all but NewInstance (4), which is most of the table and dense anyway.
CREATE INDEX changes_by_type ON changes(change_type, seq) WHERE change_type <> 4;

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

-- Patients that may be recycled, oldest first. A patient that is not here is protected.
CREATE TABLE patient_recycling (
  -- position; the most recently touched patient has the greatest
  seq INTEGER PRIMARY KEY,
  -- the patient
  internal_id INTEGER NOT NULL UNIQUE REFERENCES resources(internal_id) ON DELETE CASCADE
);

-- One row: totals, kept in the transaction of whatever changes them.
CREATE TABLE counters (
  -- resources of each level
  count_patients INTEGER NOT NULL,
  count_studies INTEGER NOT NULL,
  count_series INTEGER NOT NULL,
  count_instances INTEGER NOT NULL,
  -- bytes on disk of all attachments, and before compression
  disk_size_bytes INTEGER NOT NULL,
  uncompressed_size_bytes INTEGER NOT NULL,
  -- the same for the DICOM attachments alone
  dicom_disk_size_bytes INTEGER NOT NULL,
  dicom_uncompressed_size_bytes INTEGER NOT NULL,
  -- last number given to a change; survives DELETE /changes
  last_change_seq INTEGER NOT NULL,
  -- last number given to a job
  last_job_seq INTEGER NOT NULL
);
INSERT INTO counters VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

-- Small values that the server keeps of itself.
CREATE TABLE global_properties (
  name TEXT NOT NULL PRIMARY KEY,  -- who uses it, and for what
  value TEXT NOT NULL              -- opaque here
) WITHOUT ROWID;

-- One row a job. Times are POSIX seconds, UTC; durations seconds.
CREATE TABLE jobs (
  sequence INTEGER PRIMARY KEY,    -- order of submission, never given twice
  job_id TEXT NOT NULL UNIQUE,     -- identifier in the REST API
  kind TEXT NOT NULL,              -- type of the job
  state TEXT NOT NULL,             -- JobState
  priority INTEGER NOT NULL,       -- greater runs first
  parameters TEXT NOT NULL,        -- JSON object, the kind's own
  cursor TEXT,                     -- JSON object: where to go on; NULL at the start
  content TEXT NOT NULL,           -- JSON object: public Content
  user_data TEXT,                  -- JSON of UserData; NULL if none was given
  progress REAL NOT NULL,          -- 0 to 1
  error_code INTEGER NOT NULL,     -- ErrorCode
  error_details TEXT NOT NULL,     -- free text
  created_s REAL NOT NULL,         -- submission
  started_s REAL,                  -- first step
  completed_s REAL,                -- end
  runtime_s REAL NOT NULL,         -- time spent running
  retry_at_s REAL,                 -- when a job in state Retry becomes pending
  outputs TEXT NOT NULL,           -- JSON object: key to file, mime, filename, size
  failed_instances TEXT NOT NULL,  -- JSON object: public id to reason
  retry TEXT                       -- JSON object: policy and number of tries; NULL: no second
);
CREATE INDEX jobs_by_state ON jobs(state, sequence);

-- What one received instance writes, as one statement: INSERT INTO new_instances. Each statement
-- costs a Python thread a turn at the interpreter lock, and a dozen turns beside a busy reactor
-- thread cost far more than the writing.
CREATE VIEW new_instances (
  -- of the row to come: one more than the last in sqlite_sequence
  internal_id, public_id,
  -- its ancestors, which are there
  series_id, study_id, patient_id,
  -- as in resource_data
  tags, metadata,
  -- normalized SOPInstanceUID, NULL if there is none
  sop_instance_uid,
  -- of reception: UTC, YYYYMMDDTHHMMSS, and POSIX seconds
  date, now_s,
  -- as in attachments
  uuid, content_type, compression, size_bytes, md5, stored_size_bytes, stored_md5, revision,
  -- what to add to the sizes of DICOM attachments
  dicom_size_bytes, dicom_stored_size_bytes
) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
WHERE 1 = 0;

CREATE TRIGGER new_instances_insert INSTEAD OF INSERT ON new_instances
BEGIN
  INSERT INTO resources (internal_id, level, public_id, parent_id)
    VALUES (NEW.internal_id, 4, NEW.public_id, NEW.series_id);
  INSERT INTO resource_data (internal_id, tags, metadata)
    VALUES (NEW.internal_id, NEW.tags, NEW.metadata);
  -- 0008,0018
  INSERT INTO identifiers (internal_id, tag, value)
    SELECT NEW.internal_id, 524312, NEW.sop_instance_uid WHERE NEW.sop_instance_uid IS NOT NULL;
  INSERT INTO attachments (internal_id, content_type, uuid, compression, size_bytes, md5,
                           stored_size_bytes, stored_md5, revision)
    VALUES (NEW.internal_id, NEW.content_type, NEW.uuid, NEW.compression, NEW.size_bytes, NEW.md5,
            NEW.stored_size_bytes, NEW.stored_md5, NEW.revision);
  UPDATE resources SET
    last_update = NEW.date, unstable_since_s = NEW.now_s,
    count_instances = count_instances + 1,
    disk_size_bytes = disk_size_bytes + NEW.stored_size_bytes,
    uncompressed_size_bytes = uncompressed_size_bytes + NEW.size_bytes,
    dicom_disk_size_bytes = dicom_disk_size_bytes + NEW.dicom_stored_size_bytes,
    dicom_uncompressed_size_bytes = dicom_uncompressed_size_bytes + NEW.dicom_size_bytes
    WHERE internal_id IN (NEW.patient_id, NEW.study_id, NEW.series_id);
  UPDATE counters SET
    count_instances = count_instances + 1,
    disk_size_bytes = disk_size_bytes + NEW.stored_size_bytes,
    uncompressed_size_bytes = uncompressed_size_bytes + NEW.size_bytes,
    dicom_disk_size_bytes = dicom_disk_size_bytes + NEW.dicom_stored_size_bytes,
    dicom_uncompressed_size_bytes = dicom_uncompressed_size_bytes + NEW.dicom_size_bytes,
    last_change_seq = last_change_seq + 1;
  -- NewInstance
  INSERT INTO changes (seq, change_type, internal_id, date)
    SELECT last_change_seq, 4, NEW.internal_id, NEW.date FROM counters;
END;
