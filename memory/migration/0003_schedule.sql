-- The runs to come of approved agents, by the place of an entry in the
-- manifest's schedule. All times in ms.
CREATE TABLE schedule (
	agent    TEXT NOT NULL,
	place    INTEGER NOT NULL,
	due      INTEGER NOT NULL,
	claimed  INTEGER NOT NULL DEFAULT 0, -- until then a process has the run
	failures INTEGER NOT NULL DEFAULT 0, -- in a row
	ran      INTEGER NOT NULL DEFAULT 0, -- the last success; 0 = none
	PRIMARY KEY (agent, place)
) STRICT, WITHOUT ROWID;
