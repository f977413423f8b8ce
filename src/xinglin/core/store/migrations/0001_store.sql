-- The record: current versions, superseded versions, the index tables of search, the change feed.
--
-- Every key is a 64-bit hash (core/store/keys.py): a resource's key is the hash of "Type/id", so a reference, a
-- person and a custodian can be written down before their targets are loaded, and a chain is a join of integers.
-- `person` is the key of the Patient resource that a row is about (0: none) and stands in every table: it is the
-- distribution key on a sharded PostgreSQL and the clustering key of the orders below.
--
-- The one default order of results is (person, date DESC, key): a person's rows stand together, newest first.

CREATE TABLE resource (
    key       bigint      NOT NULL,
    type      smallint    NOT NULL,             -- keys.TYPE_NUMBERS
    version   integer     NOT NULL,
    deleted   boolean     NOT NULL DEFAULT false,
    person    bigint      NOT NULL,
    custodian bigint      NOT NULL,             -- key of the Organization that holds it
    category  integer     NOT NULL,             -- consent category bit (low half) and sensitive labels (high half)
    date      bigint      NOT NULL,             -- start of the type's headline date, microseconds since 1970; keys.NO_DATE: none
    date_end  bigint      NOT NULL,             -- exclusive end of the same
    updated   bigint      NOT NULL,             -- meta.lastUpdated, microseconds since 1970
    present   bigint      NOT NULL,             -- bit per search parameter that has a value, for :missing
    id        text        COLLATE "C" NOT NULL,
    body      bytea       NOT NULL              -- the JSON text that is served; empty when deleted
);
-- Bodies are stored as they are served: compressing costs more processor time than the disk is worth here.
ALTER TABLE resource ALTER COLUMN body SET STORAGE EXTERNAL;
-- What a rule of access asks of a row stands in the key's index: a restricted count reads no bodies' pages.
ALTER TABLE resource ADD PRIMARY KEY (key) INCLUDE (type, person, custodian, category, date, date_end, deleted);
CREATE INDEX resource_order   ON resource (type, person, date DESC, key) WHERE NOT deleted;
CREATE INDEX resource_date    ON resource (type, date, date_end) WHERE NOT deleted;
CREATE INDEX resource_updated ON resource (type, updated, key);

CREATE TABLE history (
    key       bigint   NOT NULL,
    type      smallint NOT NULL,
    version   integer  NOT NULL,
    deleted   boolean  NOT NULL,
    person    bigint   NOT NULL,
    custodian bigint   NOT NULL,
    category  integer  NOT NULL,
    updated   bigint   NOT NULL,
    id        text     COLLATE "C" NOT NULL,
    body      bytea    NOT NULL,
    PRIMARY KEY (key, version)
);
CREATE INDEX history_updated ON history (type, updated, key);
ALTER TABLE history ALTER COLUMN body SET STORAGE EXTERNAL;

-- Tokens, references, and token composites. hash = H(path, code) for tokens; path hash # target key for references
-- (so that SQL can compute it in a chain). One index serves: the newest of a person by code, the population by code
-- with its count, a conjunction (probe by the full key), and removal.
CREATE TABLE token (
    hash      bigint NOT NULL,
    person    bigint NOT NULL,
    date      bigint NOT NULL,
    key       bigint NOT NULL,
    system    integer NOT NULL                 -- 32-bit hash of the coding's system; 0: none
);
CREATE INDEX token_order ON token (hash, person, date DESC, key) INCLUDE (system);

-- Strings and URIs, folded for search; `exact` keeps the text as written.
CREATE TABLE string (
    path   bigint NOT NULL,
    value  text   COLLATE "C" NOT NULL,
    exact  text   COLLATE "C" NOT NULL,
    key    bigint NOT NULL,
    person bigint NOT NULL
);
CREATE INDEX string_value ON string (path, value);
CREATE INDEX string_key   ON string (key);

-- Dates other than the headline date: [low, high) in microseconds since 1970.
CREATE TABLE moment (
    path   bigint NOT NULL,
    low    bigint NOT NULL,
    high   bigint NOT NULL,
    key    bigint NOT NULL,
    person bigint NOT NULL
);
CREATE INDEX moment_low ON moment (path, low, high);
CREATE INDEX moment_key ON moment (key);

-- Numbers and quantities: [low, high] as the precision written allows, in the unit written and in UCUM's base units.
CREATE TABLE quantity (
    path           bigint  NOT NULL,           -- H(path), or H(path, code) for composites
    unit           bigint  NOT NULL,           -- H(system, code); 0: none
    low            double precision NOT NULL,
    high           double precision NOT NULL,
    canonical      bigint  NOT NULL,           -- H(canonical unit); 0: no conversion
    canonical_low  double precision NOT NULL,
    canonical_high double precision NOT NULL,
    key            bigint  NOT NULL,
    person         bigint  NOT NULL
);
CREATE INDEX quantity_value     ON quantity (path, low, high);
CREATE INDEX quantity_canonical ON quantity (path, canonical, canonical_low, canonical_high) WHERE canonical <> 0;
CREATE INDEX quantity_key       ON quantity (key);

-- The change feed. A reader sees rows of transactions below its snapshot's xmin only, in order (txid, seq):
-- every committed version once, none skipped by a slow writer.
CREATE TABLE feed (
    txid    xid8     NOT NULL DEFAULT pg_current_xact_id(),
    seq     bigint   GENERATED ALWAYS AS IDENTITY,
    key     bigint   NOT NULL,
    version integer  NOT NULL,
    type    smallint NOT NULL,
    person  bigint   NOT NULL,
    updated bigint   NOT NULL
);
CREATE INDEX feed_order ON feed (txid, seq);
CREATE INDEX feed_time  ON feed (updated);
