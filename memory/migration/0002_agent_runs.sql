-- What agents have used, by name, since they were installed. Neither of these
-- tables is part of the log, of a digest, or of what is replicated.
CREATE TABLE agent_total (
	agent       TEXT PRIMARY KEY,
	calls       INTEGER NOT NULL,
	errors      INTEGER NOT NULL,
	crashes     INTEGER NOT NULL,
	fuel        INTEGER NOT NULL,
	host_calls  INTEGER NOT NULL,
	host_bytes  INTEGER NOT NULL,
	peak_memory INTEGER NOT NULL,        -- the highest of all calls, bytes
	time_us     INTEGER NOT NULL,
	last_at     INTEGER NOT NULL,        -- when the newest call ended, ms
	last_us     INTEGER NOT NULL,        -- what it took
	last_error  TEXT NOT NULL            -- of the newest failed call
) STRICT, WITHOUT ROWID;

-- The newest lines that each agent logged, and how its failed calls ended.
CREATE TABLE agent_line (
	row    INTEGER PRIMARY KEY,
	agent  TEXT NOT NULL,
	at     INTEGER NOT NULL,             -- ms
	action TEXT NOT NULL,
	level  TEXT NOT NULL,
	text   TEXT NOT NULL
) STRICT;
CREATE INDEX agent_line_agent ON agent_line (agent, row);

-- When something was purged here last. What agents said of a time before is
-- gone with it, and must not come back from a process that had yet to write it.
ALTER TABLE space ADD COLUMN purged_at INTEGER NOT NULL DEFAULT 0; -- ms
