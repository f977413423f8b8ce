-- Who an account has proven to be, which post a session acts in, who acts for whom, staff as programs
-- that provision accounts know them.

-- Proof that the holder of an account is the person of some Patient resources (access/identity/proof.py).
CREATE TABLE account_proof (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login       text COLLATE "C" NOT NULL,      -- of an account, or token:ID
    own         bigint NOT NULL,                -- key of the Patient that the account is bound to
    institution text,                           -- Organization id; null: for all institutions
    records     bigint[] NOT NULL,              -- keys of the Patients that the institution had before it
    number      bytea,                          -- for all: SHA-256 of the strong identifier that was proven
    by          text NOT NULL,                  -- who vouches: a login, an issuer, xinglin
    method      text NOT NULL,                  -- proof.METHODS
    at          timestamptz NOT NULL,
    ended       timestamptz,
    ended_by    text,
    CHECK ((institution IS NULL) = (number IS NOT NULL))
);
CREATE INDEX account_proof_login ON account_proof (login) WHERE ended IS NULL;
CREATE INDEX account_proof_own ON account_proof (own) WHERE ended IS NULL;
CREATE INDEX account_proof_records ON account_proof USING gin (records) WHERE ended IS NULL;

-- What an account's owner shows to prove that the account is theirs: a few digits for a few minutes.
CREATE TABLE account_code (
    login   text COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    use     text NOT NULL,                      -- identity, guardian
    hash    bytea NOT NULL,
    tries   integer NOT NULL DEFAULT 0,
    expires timestamptz NOT NULL,
    PRIMARY KEY (login, use)
);

-- What a session acts as: one of the person's posts, or one of those for whom they act. Nothing where it has no row.
CREATE TABLE session_acting (
    session           text COLLATE "C" PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    practitioner_role text,
    guardianship      bigint
);

-- Posts and licences of staff: a projection of PractitionerRole and Practitioner, kept by project_staff().
CREATE TABLE staff_role (
    key            bigint PRIMARY KEY,
    id             text   COLLATE "C" NOT NULL,
    practitioner   text   COLLATE "C" NOT NULL,
    institution    text   COLLATE "C" NOT NULL,
    custodian      bigint NOT NULL,             -- key of the Organization that holds it; 0: loaded by the operator
    active         boolean NOT NULL,
    starts         text,                        -- FHIR dateTimes as they are written, perhaps partial
    ends           text,
    codes          text[] NOT NULL,
    specialty      text NOT NULL,
    specialty_text text NOT NULL
);
CREATE INDEX staff_role_practitioner ON staff_role (practitioner);
CREATE TABLE staff_licence (
    key          bigint NOT NULL,
    practitioner text COLLATE "C" NOT NULL,
    number       text NOT NULL,
    starts       text,
    ends         text
);
CREATE INDEX staff_licence_key ON staff_licence (key);
CREATE INDEX staff_licence_practitioner ON staff_licence (practitioner);

CREATE FUNCTION project_staff(changed bigint[]) RETURNS void LANGUAGE sql AS $$
    DELETE FROM staff_role WHERE key = ANY(changed);
    DELETE FROM staff_licence WHERE key = ANY(changed);
    INSERT INTO staff_role
    SELECT r.key, r.id,
           coalesce(substring(b #>> '{practitioner,reference}' FROM '^Practitioner/(.+)$'), ''),
           coalesce(substring(b #>> '{organization,reference}' FROM '^Organization/(.+)$'), ''),
           r.custodian, coalesce((b ->> 'active')::boolean, true), b #>> '{period,start}', b #>> '{period,end}',
           ARRAY(SELECT c #>> '{}' FROM jsonb_path_query(b, '$.code[*].coding[*].code') c),
           coalesce(b #>> '{specialty,0,coding,0,code}', ''),
           coalesce(b #>> '{specialty,0,text}', b #>> '{specialty,0,coding,0,display}', '')
      FROM resource r, LATERAL (SELECT convert_from(r.body, 'UTF8')::jsonb AS b OFFSET 0) parsed
     WHERE r.key = ANY(changed) AND NOT r.deleted AND b ->> 'resourceType' = 'PractitionerRole';
    INSERT INTO staff_licence
    SELECT r.key, r.id, coalesce(q #>> '{identifier,0,value}', ''), q #>> '{period,start}', q #>> '{period,end}'
      FROM resource r, LATERAL (SELECT convert_from(r.body, 'UTF8')::jsonb AS b OFFSET 0) parsed,
           jsonb_path_query(b, '$.qualification[*] ? (exists(@.identifier[*].value))') q
     WHERE r.key = ANY(changed) AND NOT r.deleted AND b ->> 'resourceType' = 'Practitioner'
       AND coalesce((b ->> 'active')::boolean, true);
$$;
SELECT project_staff(array_agg(key)) FROM resource WHERE type IN (108, 109) AND NOT deleted;  -- Practitioner, ...Role

-- Who acts for whom. Each row stands beside a RelatedPerson (and, for adults, a Consent) and ends with it.
CREATE TABLE guardianship (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login      text   COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    ward       text   COLLATE "C" NOT NULL,     -- Patient id
    ward_key   bigint NOT NULL,
    kind       text   NOT NULL,                 -- child, adult
    related    bigint NOT NULL,                 -- key of the RelatedPerson
    consent    bigint,                          -- key of the Consent of an adult
    categories integer NOT NULL,                -- bits of what the guardian reads, as in access_grant
    starts     timestamptz NOT NULL,
    ends       timestamptz,                     -- exclusive; a child's birthday ends it besides
    by         text   NOT NULL,
    at         timestamptz NOT NULL,
    ended      timestamptz,
    ended_by   text
);
CREATE INDEX guardianship_login ON guardianship (login) WHERE ended IS NULL;
CREATE INDEX guardianship_ward ON guardianship (ward) WHERE ended IS NULL;
CREATE INDEX guardianship_related ON guardianship (related) WHERE ended IS NULL;

-- Staff accounts as a provisioning program knows them (RFC 7643).
CREATE TABLE scim_user (
    id          uuid PRIMARY KEY,
    login       text COLLATE "C" NOT NULL UNIQUE REFERENCES account ON DELETE CASCADE,
    external_id text,
    version     integer NOT NULL DEFAULT 1,
    changed     timestamptz NOT NULL
);
