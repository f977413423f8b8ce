-- Apps: who they are, what people allowed them, and the codes and tokens made of it. Secrets are kept as hashes only.

CREATE TABLE oauth_client (
    id            text COLLATE "C" PRIMARY KEY, -- client_id
    name          text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('public', 'secret', 'key')),  -- how it proves who it is
    secret        bytea,                        -- SHA-256 of 256 random bits
    jwks          text,                         -- public keys (RFC 7517), or where they are fetched
    jwks_uri      text,
    redirect_uris text[] NOT NULL,
    launch_uri    text,
    scopes        text[] NOT NULL,              -- the most that it may be granted
    institution   text,                         -- Organization id: whose managers run it, and for whom a program acts
    backend       boolean NOT NULL,             -- client_credentials; else people allow it
    state         text NOT NULL CHECK (state IN ('waiting', 'active', 'disabled')),
    created       timestamptz NOT NULL,
    created_by    text NOT NULL                 -- login; empty: registered itself
);

-- What one person allowed one app, or what a program was given: all tokens made of it end with it.
CREATE TABLE oauth_grant (
    id        text COLLATE "C" PRIMARY KEY,
    client    text COLLATE "C" NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
    login     text COLLATE "C" REFERENCES account ON DELETE CASCADE,  -- null: the program itself
    session   text COLLATE "C",                 -- ends with it (online_access, or no refresh token)
    scopes    text[] NOT NULL,
    patient   text,                             -- Patient id of the launch context
    encounter text,
    post         text,                          -- PractitionerRole id in which its owner acts
    guardianship bigint,                        -- by which its owner acts for the patient
    proven    timestamptz,                      -- when the person had signed in
    created   timestamptz NOT NULL,
    used      timestamptz NOT NULL,
    ended     timestamptz,
    why       text                              -- it ended: revoked, code-reused, refresh-reused, session
);
CREATE INDEX oauth_grant_login ON oauth_grant (login) WHERE ended IS NULL;
CREATE INDEX oauth_grant_client ON oauth_grant (client);
CREATE INDEX oauth_grant_session ON oauth_grant (session) WHERE ended IS NULL;
CREATE UNIQUE INDEX oauth_grant_program ON oauth_grant (client, scopes) WHERE login IS NULL AND ended IS NULL;

-- What an app asks for, until the person has answered.
CREATE TABLE oauth_request (
    hash      bytea PRIMARY KEY,
    client    text COLLATE "C" NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
    asked     text NOT NULL,                    -- JSON: redirect_uri, scopes, state, challenge, nonce
    login     text COLLATE "C",                 -- of a launch: the only one who may answer
    patient   text,
    encounter text,
    expires   timestamptz NOT NULL
);
CREATE INDEX oauth_request_expires ON oauth_request (expires);

CREATE TABLE oauth_code (
    hash         bytea PRIMARY KEY,
    grant_id     text COLLATE "C" NOT NULL REFERENCES oauth_grant ON DELETE CASCADE,
    client       text COLLATE "C" NOT NULL,
    redirect_uri text NOT NULL,
    challenge    text NOT NULL,                 -- PKCE S256
    nonce        text,
    expires      timestamptz NOT NULL,
    used         timestamptz
);
CREATE INDEX oauth_code_expires ON oauth_code (expires);

CREATE TABLE oauth_token (
    hash     bytea PRIMARY KEY,
    grant_id text COLLATE "C" NOT NULL REFERENCES oauth_grant ON DELETE CASCADE,
    kind     text NOT NULL CHECK (kind IN ('access', 'refresh')),
    scopes   text[] NOT NULL,
    expires  timestamptz NOT NULL,
    ended    timestamptz                        -- revoked; of a refresh token: used
);
CREATE INDEX oauth_token_grant ON oauth_token (grant_id);
CREATE INDEX oauth_token_expires ON oauth_token (expires);

-- A launch from a page of ours: one person, one app, one record, once.
CREATE TABLE oauth_launch (
    hash      bytea PRIMARY KEY,
    client    text COLLATE "C" NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
    login     text COLLATE "C" NOT NULL REFERENCES account ON DELETE CASCADE,
    patient   text NOT NULL,
    encounter text,
    expires   timestamptz NOT NULL
);
CREATE INDEX oauth_launch_expires ON oauth_launch (expires);

-- Assertions that were used, until they expire (RFC 7523 section 3: jti).
CREATE TABLE oauth_assertion (
    client  text COLLATE "C" NOT NULL,
    jti     bytea NOT NULL,
    expires timestamptz NOT NULL,
    PRIMARY KEY (client, jti)
);
CREATE INDEX oauth_assertion_expires ON oauth_assertion (expires);

-- Keys that sign ID tokens, newest first in use; sealed like the other secrets that must be read again.
CREATE TABLE oauth_key (
    kid     text COLLATE "C" PRIMARY KEY,
    public  text NOT NULL,                      -- JWK
    private bytea NOT NULL,                     -- JWK, sealed
    created timestamptz NOT NULL
);

-- A token must not outlive what it rests on, whichever code ends that: a session, an account, a role.
CREATE FUNCTION oauth_session_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE oauth_grant SET ended = clock_timestamp(), why = 'session' WHERE session = OLD.id AND ended IS NULL;
    IF FOUND THEN
        PERFORM pg_notify('xinglin_identity', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER oauth_session_ended AFTER DELETE ON session FOR EACH ROW EXECUTE FUNCTION oauth_session_ended();

CREATE FUNCTION oauth_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM oauth_grant WHERE login = NEW.login AND ended IS NULL) THEN
        PERFORM pg_notify('xinglin_identity', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER oauth_account_changed AFTER UPDATE OF active, role, institution, practitioner, patient ON account
    FOR EACH ROW EXECUTE FUNCTION oauth_account_changed();
