-- How people sign in: passkeys, one-time codes, recovery, outside providers. Secrets are hashed, or sealed where they
-- must be read again.

ALTER TABLE account
    ADD COLUMN temporary timestamptz,           -- the password was given by somebody else; not accepted after this
    ADD COLUMN handle bytea NOT NULL UNIQUE     -- WebAuthn user handle: says nothing about its owner
        DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());

ALTER TABLE session
    ADD COLUMN verified timestamptz,            -- when its owner last proved who they are
    ADD COLUMN methods text[] NOT NULL DEFAULT '{}';  -- how: RFC 8176 names (pwd, otp, hwk, ...)
UPDATE session SET verified = created;
ALTER TABLE session ALTER COLUMN verified SET NOT NULL, ALTER COLUMN verified SET DEFAULT 'epoch';

-- What a browser has begun and it alone may finish, once: a challenge, a second step, a visit to a provider.
CREATE TABLE begun (
    hash    bytea PRIMARY KEY,                  -- SHA-256 of the ticket in the browser's cookie
    kind    text NOT NULL,
    login   text COLLATE "C" REFERENCES account ON DELETE CASCADE,
    data    text NOT NULL,                      -- JSON; no password, no code
    expires timestamptz NOT NULL
);
CREATE INDEX begun_expires ON begun (expires);
CREATE INDEX begun_login ON begun (login);

CREATE TABLE passkey (
    id         bytea PRIMARY KEY,               -- the credential id
    login      text COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    name       text NOT NULL,                   -- its owner's word for it
    public_key bytea NOT NULL,                  -- COSE
    counter    bigint NOT NULL,
    synced     boolean NOT NULL,                -- kept by a provider on several devices
    created    timestamptz NOT NULL,
    used       timestamptz,
    suspended  timestamptz                      -- its counter went back: it may have been copied
);
CREATE INDEX passkey_login ON passkey (login);

CREATE TABLE authenticator (                    -- an app that shows RFC 6238 codes; one for each account
    login     text COLLATE "C" PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    secret    bytea NOT NULL,                   -- AES-GCM, sealed to the login
    last_step bigint NOT NULL,                  -- steps up to this one have been used
    created   timestamptz NOT NULL
);

CREATE TABLE recovery_code (
    hash    bytea PRIMARY KEY,
    login   text COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    created timestamptz NOT NULL,
    used    timestamptz
);
CREATE INDEX recovery_code_login ON recovery_code (login);

CREATE TABLE recovery (                         -- a way back in, given in person; one at a time for each account
    login       text COLLATE "C" PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    hash        bytea NOT NULL,
    given_by    text NOT NULL,
    institution text NOT NULL,
    evidence    text NOT NULL,                  -- how the person was recognised: a code of data/sign_in.json
    starts      timestamptz NOT NULL,
    expires     timestamptz NOT NULL
);

CREATE TABLE provider_link (                    -- an outside account that opens one of ours
    issuer  text NOT NULL,
    subject text NOT NULL,
    login   text COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    created timestamptz NOT NULL,
    used    timestamptz,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX provider_link_login ON provider_link (login);

CREATE TABLE security_event (                   -- what its owner is told about an account
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login   text COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    at      timestamptz NOT NULL,
    kind    text NOT NULL,
    detail  text NOT NULL,                      -- a name given by the owner, or who acted
    address text NOT NULL,
    agent   text NOT NULL,
    seen    boolean NOT NULL
);
CREATE INDEX security_event_login ON security_event (login, id DESC);
