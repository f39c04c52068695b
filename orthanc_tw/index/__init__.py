"""The index: which patients, studies, series and instances there are, and all that is said of them.

What it owns: the database ``index-tw.db`` in ``IndexDirectory`` (beside which Orthanc's own
``index`` may lie). What it must not know: HTTP, DICOM files, the storage area, a clock; dates
and times are arguments.

- `gateway` is the contract, the one module that other rooms import besides `sqlite.open_index`,
  `connection.IndexSettings` and `normalize.normalize`.
- `schema/` has the tables, each column with its meaning; `migrations` creates, upgrades
  (after a copy, by ``upgrade-vN-to-vM.sql``) and refuses. `lock` keeps a second server out.
- `sqlite.SqliteIndex` lives in the reactor thread; `workers` are its threads. One writes: it
  takes whatever waits into one transaction (`group`), a savepoint each, and tells all of them
  after the one commit, for the fsync is what they wait for. A few read, each over a snapshot
  of the write-ahead log, so that neither side waits for the other.
- `read_transaction` and `write_transaction` are the operations; `store`, `deletion`, `find` (with
  `constraints` and `find_order`), `expand`, `changes`, `exports` and `jobs` have the statements
  that need a page of their own.

Why the tables are as they are, with 10 million instances in mind:

- ``resources`` is narrow, since it is what queries join and scan; tags and metadata, which are
  only shown, are one row of JSON in ``resource_data``. An instance is one row in each of five
  tables, all but two of its index entries appended or next to those of its series.
- Values that are matched are kept once more, normalized, in ``identifiers``, indexed by value;
  `find` starts from the rarest of them. Names and descriptions have a trigram index (FTS5)
  for wildcards that begin with a star; without FTS5 the same queries scan the values of one
  tag. Other main DICOM tags are looked at in the JSON of the rows that are left.
- A statement, and each row that is fetched, makes a thread give up the interpreter lock and wait
  for it again behind the reactor thread: an instance is written by one INSERT into the view
  ``new_instances``, whose trigger does the rest, and short lists are fetched as one JSON text.
- Totals are kept (``counters``, and in each patient, study and series), not counted.
- Lists are ordered by public identifier and paged by key. A page by number is found by ``ranks``,
  which counts the resources under each of the 4096 beginnings that identifiers can have: triggers
  keep it, so that it cannot differ from ``resources``.
- The newest studies have an index (``studies_by_update``), since that is what browsers ask for.
- Nothing is only in memory: what is unstable, the order of recycling and the numbers of changes
  and jobs go on after a restart.
"""
