-- People: what they are found by, and which Patient resources are one person.
-- person_term can be rebuilt from the Patient resources (xinglin.access.persons.index).

CREATE TABLE person_term (
    kind    smallint NOT NULL,                 -- persons.terms.Kind
    term    text     COLLATE "C" NOT NULL,     -- folded as persons.terms says
    patient bigint   NOT NULL                  -- key of the Patient resource
);
CREATE INDEX person_term_term    ON person_term (kind, term, patient);
CREATE INDEX person_term_patient ON person_term (patient, kind, term);

-- Words within one deletion of a spelling, for forgiving a typo: one row per spelling, not per person.
-- Rows may repeat: a unique index would make loaders wait for each other.
CREATE TABLE person_spelling (
    variant bigint   NOT NULL,                 -- hash of the spelling with one letter, or none, left out
    kind    smallint NOT NULL,
    term    text     COLLATE "C" NOT NULL
);
CREATE INDEX person_spelling_variant ON person_spelling (variant, kind, term);

-- What joins records, and what keeps them apart. The rows follow from the ledger: adding and removing as it says,
-- in its order, from empty tables, gives them again.
CREATE TABLE person_edge (
    a      bigint  NOT NULL,
    b      bigint  NOT NULL,
    ledger bigint  NOT NULL,                   -- the entry that joined them
    PRIMARY KEY (a, b),
    CHECK (a < b)
);
CREATE INDEX person_edge_b ON person_edge (b);

CREATE TABLE person_bar (
    a      bigint  NOT NULL,
    b      bigint  NOT NULL,
    PRIMARY KEY (a, b),
    CHECK (a < b)
);
CREATE INDEX person_bar_b ON person_bar (b);

-- Append-only: who joined or parted which records, when and why.
CREATE TABLE person_ledger (
    entry         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL,
    actor         text    NOT NULL,            -- login, or "xinglin" for the node
    action        text    NOT NULL,            -- join, part, undo
    why           text    NOT NULL,            -- the rule's name, or the clerk's words
    undoes        bigint  REFERENCES person_ledger,
    edges_added   bigint[] NOT NULL,           -- a1, b1, a2, b2, ...
    edges_removed bigint[] NOT NULL,
    edges_were    bigint[] NOT NULL,           -- the joins that had made those removed, for putting them back
    bars_added    bigint[] NOT NULL,
    bars_removed  bigint[] NOT NULL
);
CREATE INDEX person_ledger_undoes ON person_ledger (undoes);
CREATE FUNCTION person_ledger_stays() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the ledger of persons is append-only'; END $$;
CREATE TRIGGER person_ledger_stays BEFORE UPDATE OR DELETE ON person_ledger
    FOR EACH ROW EXECUTE FUNCTION person_ledger_stays();

-- Which person a Patient resource belongs to; a record that stands alone has no row.
CREATE TABLE person_link (
    patient    bigint PRIMARY KEY,
    patient_id text   COLLATE "C" NOT NULL,
    person     text   COLLATE "C" NOT NULL     -- id of the Person resource
);
CREATE INDEX person_link_patient_id ON person_link (patient_id);
CREATE INDEX person_link_person ON person_link (person);

-- Doubtful pairs for a clerk.
CREATE TABLE person_review (
    a       bigint NOT NULL,
    b       bigint NOT NULL,
    a_id    text   COLLATE "C" NOT NULL,       -- Patient ids
    b_id    text   COLLATE "C" NOT NULL,
    rule    text   NOT NULL,                   -- of persons/rules.json
    fields  jsonb  NOT NULL,                   -- field -> agree, close, differ, absent; never values
    opened  timestamptz NOT NULL,
    closed  timestamptz,
    outcome text,                              -- joined, parted; withdrawn when the records no longer ask it
    actor   text,
    entry   bigint,                            -- of the ledger that decided it
    PRIMARY KEY (a, b),
    CHECK (a < b)
);
CREATE INDEX person_review_open ON person_review (opened, a, b) WHERE closed IS NULL;
CREATE INDEX person_review_b ON person_review (b);
CREATE INDEX person_review_entry ON person_review (entry);

-- How far the linking has read the change feed; one row.
CREATE TABLE person_cursor (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    txid xid8   NOT NULL,
    seq  bigint NOT NULL
);
INSERT INTO person_cursor VALUES (true, '0', 0);
