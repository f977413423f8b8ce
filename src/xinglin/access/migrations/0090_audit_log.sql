-- The access log as a Merkle tree (docs/decisions/0015): lines get a place that no later commit can change, salted
-- hashes of them are the leaves, and heads of the tree are signed and shown to others.

ALTER TABLE audit
    ALTER COLUMN custodians TYPE bigint[] USING ARRAY[]::bigint[],  -- keys of Organizations that hold what was shown
    ADD COLUMN agent  text NOT NULL DEFAULT '',        -- Practitioner/.. or Patient/.. who asked, where known
    ADD COLUMN client text NOT NULL DEFAULT '',        -- the program through which they asked; empty: our pages
    ADD COLUMN behalf text NOT NULL DEFAULT '',        -- Patient/.. for whom a guardian asked
    ADD COLUMN basis  text NOT NULL DEFAULT '',        -- legal basis that was named (data/legal_bases.json)
    ADD COLUMN erased bigint,                          -- when its personal data was removed, microseconds since 1970
    ADD COLUMN txid   xid8 NOT NULL DEFAULT '0';
ALTER TABLE audit ALTER COLUMN txid SET DEFAULT pg_current_xact_id();

-- Numbers are taken before commits, so that a later commit may show a lower number; (txid, seq) below the snapshot's
-- xmin is final. The index on `event` gives way to it: nobody asks by event alone.
DROP INDEX audit_event;
CREATE INDEX audit_order     ON audit (txid, seq);
CREATE INDEX audit_login     ON audit (login, seq DESC);
CREATE INDEX audit_target    ON audit (target text_pattern_ops, seq DESC) WHERE strpos(target, '/') > 0;
CREATE INDEX audit_refused   ON audit (institution, seq DESC) WHERE outcome <> 0;
CREATE INDEX audit_emergency ON audit (institution, seq DESC) WHERE purpose = 'BTG';
CREATE INDEX audit_at        ON audit USING brin (at) WITH (pages_per_range = 32);

-- Lines stay. Erasing says so in its own transaction (access/audit/erasure.py); who goes round this is found by the tree.
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('xinglin.erasing', true) = 'yes' THEN RETURN NEW; END IF;
    RAISE EXCEPTION 'the access log is append-only';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_stays_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

-- Which line each leaf is, with its salt; NULL once the line was erased. The hash stands in the tiles.
CREATE TABLE audit_leaf (
    leaf bigint PRIMARY KEY,
    seq  bigint NOT NULL,
    salt bytea
);
CREATE UNIQUE INDEX audit_leaf_seq ON audit_leaf (seq);

-- The tree: hashes of complete subtrees of 16^level leaves, sixteen to a tile; the last tile of a level may hold fewer.
CREATE TABLE audit_tile (
    level  smallint NOT NULL,
    tile   bigint   NOT NULL,
    hashes bytea    NOT NULL,
    PRIMARY KEY (level, tile)
);
ALTER TABLE audit_tile ALTER COLUMN hashes SET STORAGE PLAIN;

-- How far the tree has grown; one row. `floor`: numbers up to it were placed before the database was restored from a
-- dump, whose transaction numbers mean nothing here.
CREATE TABLE audit_tree (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    size  bigint NOT NULL,
    txid  xid8   NOT NULL,
    seq   bigint NOT NULL,
    floor bigint NOT NULL
);
INSERT INTO audit_tree VALUES (true, 0, '0', 0, 0);

-- Signed heads, and what others signed beside them. `note`: the head as a C2SP checkpoint.
CREATE TABLE audit_head (
    size bigint PRIMARY KEY,
    root bytea  NOT NULL,
    at   bigint NOT NULL,
    note text   NOT NULL
);
CREATE TABLE audit_cosignature (
    size bigint NOT NULL REFERENCES audit_head,
    name text   NOT NULL,                              -- of the witness
    at   bigint NOT NULL,                              -- as the witness says, seconds since 1970
    line text   NOT NULL,                              -- of the signed note
    PRIMARY KEY (size, name)
);

-- Keys of other nodes: logs that this node witnesses, with the newest head it signed; witnesses of this node's log.
CREATE TABLE audit_peer (
    name text  NOT NULL,
    kind text  NOT NULL CHECK (kind IN ('log', 'witness')),
    vkey text  NOT NULL,
    size bigint NOT NULL DEFAULT 0,
    root bytea,
    note text  NOT NULL DEFAULT '',                    -- the head last signed, as it came
    PRIMARY KEY (kind, name)
);
