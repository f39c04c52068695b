-- What is to be done about transient failures of a job, see the column in sqlite-v2.sql.
ALTER TABLE jobs ADD COLUMN retry TEXT;
