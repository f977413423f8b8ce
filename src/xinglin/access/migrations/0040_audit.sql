-- Every access, allowed or refused: one line for each person whose data it touched (person 0: nobody's in particular).
-- Lines are only ever added. AuditEvent resources are read from here (access/audit.py).
CREATE TABLE audit (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event       uuid     NOT NULL,              -- lines of one access share it
    at          bigint   NOT NULL,              -- microseconds since 1970
    person      bigint   NOT NULL,
    institution text     NOT NULL,              -- Organization id of who asked; empty: none
    custodians  text[]   NOT NULL,              -- Organizations whose data was asked for, where known
    login       text     NOT NULL,
    name        text     NOT NULL,
    role        text     NOT NULL,
    purpose     text     NOT NULL,
    action      "char"   NOT NULL,              -- C R U D E, as AuditEvent.action
    interaction text     NOT NULL,              -- FHIR restful-interaction or the name of an operation
    target      text     NOT NULL,              -- what was asked for: Type/id or a type with parameter names
    outcome     smallint NOT NULL,              -- 0 success, 4 refused, 8 error, as AuditEvent.outcome
    why         text     NOT NULL               -- the reason given in words, or the rule that refused
);
CREATE INDEX audit_person ON audit (person, seq DESC) WHERE person <> 0;
CREATE INDEX audit_institution ON audit (institution, seq DESC);
CREATE INDEX audit_event ON audit (event);

-- What was decided when the first row was written and can't change under existing rows (the zone of bare dates).
CREATE TABLE node_setting (name text PRIMARY KEY, value text NOT NULL);

-- Small secrets that the node makes for itself (the key that signs page links); never health data.
CREATE TABLE node_secret (name text PRIMARY KEY, value bytea NOT NULL);
