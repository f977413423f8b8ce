-- Accounts, sessions and tokens. None of it is health data; secrets are kept as hashes only.

CREATE TABLE account (
    login        text COLLATE "C" PRIMARY KEY,  -- case-folded
    name_zh      text NOT NULL,
    name_en      text NOT NULL,
    role         text NOT NULL,                 -- access.principal.Role
    institution  text,                          -- Organization id
    practitioner text,                          -- Practitioner id
    patient      text,                          -- Patient id, for role patient
    password     text NOT NULL,                 -- argon2id, encoded with its parameters and salt
    active       boolean NOT NULL DEFAULT true,
    created      timestamptz NOT NULL,
    changed      timestamptz NOT NULL           -- of the password
);

CREATE TABLE session (
    hash    bytea PRIMARY KEY,                  -- SHA-256 of the cookie's value
    id      text COLLATE "C" NOT NULL UNIQUE,   -- how its owner names it in order to end it
    login   text COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    csrf    text NOT NULL,
    created timestamptz NOT NULL,
    seen    timestamptz NOT NULL,               -- of the last request, to the minute
    expires timestamptz NOT NULL,               -- whatever happens
    address text NOT NULL,
    agent   text NOT NULL                       -- the browser, as it names itself
);
CREATE INDEX session_login ON session (login);
CREATE INDEX session_expires ON session (expires);

CREATE TABLE access_token (
    hash         bytea PRIMARY KEY,             -- SHA-256 of the token
    id           text COLLATE "C" NOT NULL UNIQUE,
    name         text NOT NULL,
    role         text NOT NULL,
    institution  text,
    practitioner text,
    patient      text,
    scopes       text[],
    created      timestamptz NOT NULL,
    expires      timestamptz NOT NULL,
    revoked      timestamptz
);

-- Sign-ins that failed, by hashed subject: an account at an address, an account, an address.
CREATE TABLE sign_in_failure (
    subject  bytea PRIMARY KEY,
    failures integer NOT NULL,
    last     timestamptz NOT NULL,
    until    timestamptz NOT NULL,              -- no attempt is heard before
    known    timestamptz                        -- last time the account signed in from this address
);
CREATE INDEX sign_in_failure_last ON sign_in_failure (last);
