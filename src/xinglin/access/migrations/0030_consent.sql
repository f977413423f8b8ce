-- Grants: what consents, and emergency access, open to whom. A projection of the Consent resources, rewritten in the
-- transaction that writes a Consent, and read by the predicate on every alias of `resource` (access/policy.py).
CREATE TABLE access_grant (
    person    bigint  NOT NULL,   -- key of the Patient the data is about
    grantee   bigint  NOT NULL,   -- key of an Organization, or of a Practitioner
    custodian bigint  NOT NULL,   -- key of the Organization that holds the data; 0: any
    category  integer NOT NULL,   -- bits: categories opened (low half), sensitive labels opened (high half)
    purposes  text[]  NOT NULL,   -- v3 ActReason codes
    starts    bigint  NOT NULL,   -- microseconds since 1970
    ends      bigint  NOT NULL,   -- exclusive
    source    bigint  NOT NULL    -- key of the Consent (or of the emergency's AuditEvent) it comes from
);
CREATE INDEX access_grant_lookup ON access_grant (person, grantee, custodian);
CREATE INDEX access_grant_grantee ON access_grant (grantee, ends);
CREATE INDEX access_grant_source ON access_grant (source);
