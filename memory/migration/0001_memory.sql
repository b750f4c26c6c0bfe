-- One row: where this file stands. hlc and oseq are the last ones stamped
-- here; the counters follow every op, so that quotas cost nothing to check.
CREATE TABLE space (
	one       INTEGER PRIMARY KEY CHECK (one = 1),
	origin    TEXT NOT NULL,             -- UUID of this file as a maker of ops
	hlc       INTEGER NOT NULL DEFAULT 0,
	oseq      INTEGER NOT NULL DEFAULT 0,
	engrams   INTEGER NOT NULL DEFAULT 0, -- created and not purged
	forgotten INTEGER NOT NULL DEFAULT 0, -- of those, hidden
	links     INTEGER NOT NULL DEFAULT 0, -- live
	bytes     INTEGER NOT NULL DEFAULT 0, -- of content and metadata
	agents    INTEGER NOT NULL DEFAULT 0, -- version of the agent table
	derivation TEXT NOT NULL DEFAULT ''   -- what words and analyses were made with
) STRICT;

-- The log. Every change of state is one row, written with its effect. A row
-- whose body was compacted or purged keeps its place with an empty body.
CREATE TABLE op (
	seq       INTEGER PRIMARY KEY,       -- local order of arrival
	id        BLOB NOT NULL UNIQUE,      -- UUIDv7, random
	origin    TEXT NOT NULL,
	oseq      INTEGER NOT NULL,          -- dense per origin
	hlc       INTEGER NOT NULL,          -- ms << 16 | counter
	principal TEXT NOT NULL,
	kind      TEXT NOT NULL,
	target    BLOB,                      -- engram id, where there is one
	other     BLOB,                      -- the far end of a link
	body      TEXT NOT NULL,             -- JSON
	UNIQUE (origin, oseq)
) STRICT;
CREATE INDEX op_target ON op (target, hlc) WHERE target IS NOT NULL;
CREATE INDEX op_other ON op (other) WHERE other IS NOT NULL;

CREATE TABLE grp (
	row         INTEGER PRIMARY KEY,
	kind        TEXT NOT NULL,           -- context | collection
	name        TEXT NOT NULL,
	description TEXT NOT NULL DEFAULT '',
	readers     TEXT,                    -- JSON list; NULL = the whole space
	writers     TEXT,
	clocks      TEXT NOT NULL DEFAULT '{}',
	UNIQUE (kind, name)
) STRICT;
CREATE INDEX grp_listed ON grp (row) WHERE readers IS NOT NULL OR writers IS NOT NULL;

-- The state of each engram that any op has named. A row with created = 0
-- waits for its create op; one with purged = 1 is a tombstone.
CREATE TABLE engram (
	row         INTEGER PRIMARY KEY,     -- local; also the row in full text and vectors
	id          BLOB NOT NULL UNIQUE,
	created     INTEGER NOT NULL DEFAULT 0,
	purged      INTEGER NOT NULL DEFAULT 0,
	forgotten   INTEGER NOT NULL DEFAULT 0,
	context     INTEGER,                 -- grp.row
	ord         INTEGER NOT NULL DEFAULT 0, -- place in the context: valid_from, or else created_at
	created_at  INTEGER NOT NULL DEFAULT 0, -- all times in ms
	updated_at  INTEGER NOT NULL DEFAULT 0,
	valid_from  INTEGER NOT NULL DEFAULT 0, -- 0 = none
	valid_to    INTEGER NOT NULL DEFAULT 0,
	expires_at  INTEGER NOT NULL DEFAULT 0,
	confidence  REAL NOT NULL DEFAULT 1,
	importance  REAL NOT NULL DEFAULT 0.5,
	version     INTEGER NOT NULL DEFAULT 0,
	members     INTEGER NOT NULL DEFAULT 0, -- collections it belongs to
	twin        INTEGER NOT NULL DEFAULT 0, -- hash of what makes two engrams duplicates
	kind        TEXT NOT NULL DEFAULT 'fact',
	source      TEXT NOT NULL DEFAULT '',
	author      TEXT NOT NULL DEFAULT '',
	trust       TEXT NOT NULL DEFAULT '',
	tags        TEXT NOT NULL DEFAULT '[]', -- JSON list
	base        TEXT NOT NULL DEFAULT '',   -- clock of the create op
	clocks      TEXT NOT NULL DEFAULT '{}', -- clocks of fields changed since
	metadata    TEXT NOT NULL DEFAULT '',   -- JSON object or empty
	content     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX engram_place ON engram (context, ord, id) WHERE context IS NOT NULL;
CREATE INDEX engram_made ON engram (created_at, id);
CREATE INDEX engram_twin ON engram (twin);
CREATE INDEX engram_expires ON engram (expires_at) WHERE expires_at > 0;

-- Membership is an add-wins set: a tag is the id of the op that added it.
CREATE TABLE member (
	engram INTEGER NOT NULL,
	grp    INTEGER NOT NULL,
	tag    BLOB NOT NULL,
	dead   INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (engram, grp, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_grp ON member (grp, engram) WHERE dead = 0;

CREATE TABLE link (
	row        INTEGER PRIMARY KEY,
	src        INTEGER NOT NULL,
	dst        INTEGER NOT NULL,
	relation   TEXT NOT NULL,
	live       INTEGER NOT NULL DEFAULT 0, -- tags that are not dead
	weight     REAL NOT NULL DEFAULT 1,
	metadata   TEXT NOT NULL DEFAULT '',
	valid_from INTEGER NOT NULL DEFAULT 0,
	valid_to   INTEGER NOT NULL DEFAULT 0,
	clock      TEXT NOT NULL DEFAULT '',
	UNIQUE (src, dst, relation)
) STRICT;
CREATE INDEX link_dst ON link (dst);
CREATE TABLE link_tag (
	tag  BLOB PRIMARY KEY,
	link INTEGER NOT NULL,
	dead INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX link_tag_link ON link_tag (link);

-- Reads of an engram, summed per origin; the sum over origins is the count.
CREATE TABLE access (
	engram INTEGER NOT NULL,
	origin TEXT NOT NULL,
	count  INTEGER NOT NULL,
	last   INTEGER NOT NULL,
	PRIMARY KEY (engram, origin)
) STRICT, WITHOUT ROWID;

-- First results of mutations that carried a request id.
CREATE TABLE request (
	principal TEXT NOT NULL,
	id        BLOB NOT NULL,
	digest    BLOB NOT NULL,
	result    TEXT NOT NULL,
	at        INTEGER NOT NULL,
	PRIMARY KEY (principal, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_at ON request (at);

-- Full text over prepared words: no stemming or folding happens in SQLite.
CREATE VIRTUAL TABLE words USING fts5 (
	text,
	content = '', contentless_delete = 1, tokenize = 'ascii'
);

-- What scoring needs to know of an engram, computed when it is written.
CREATE TABLE analysis (
	engram INTEGER PRIMARY KEY,
	data   BLOB NOT NULL
) STRICT;

-- How many engrams a word stands in.
CREATE VIRTUAL TABLE vocab USING fts5vocab (words, row);

-- The embedding models of this space. The newest row is the one in use; it is
-- ready once every engram has had a vector of it.
CREATE TABLE model (
	row   INTEGER PRIMARY KEY,
	name  TEXT NOT NULL,
	dim   INTEGER NOT NULL,
	ready INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Vectors. seq grows with every change of a row, so that each process can
-- replay what others wrote; live = 0 takes the engram out of the index.
CREATE TABLE embedding (
	seq    INTEGER PRIMARY KEY,
	engram INTEGER NOT NULL,
	model  INTEGER NOT NULL,
	live   INTEGER NOT NULL,
	hash   BLOB,                         -- sha256 of the text that was embedded
	vec    BLOB,                         -- little-endian float32
	UNIQUE (engram, model)
) STRICT;
CREATE TABLE unembedded (engram INTEGER PRIMARY KEY) STRICT;

CREATE TABLE agent (
	name       TEXT PRIMARY KEY,
	manifest   TEXT NOT NULL,
	sha256     TEXT NOT NULL,
	installer  TEXT NOT NULL,            -- JSON principal
	approved   INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	globals    TEXT NOT NULL DEFAULT '{}',
	revision   INTEGER NOT NULL DEFAULT 0 -- of globals
) STRICT, WITHOUT ROWID;
