-- Grants say no as well as yes, and how specific they are: the most specific decides, no wins on a tie
-- (docs/decisions/0014). Rows that are there keep what they said, until their Consent is written or linked again.
ALTER TABLE access_grant
    ADD COLUMN permit    boolean    NOT NULL DEFAULT true,
    ADD COLUMN rank      integer    NOT NULL DEFAULT 0,    -- access.grants.rank: greater decides
    ADD COLUMN role      text       NOT NULL DEFAULT '',   -- access.principal.Role of who asks; empty: any
    ADD COLUMN acting    bigint     NOT NULL DEFAULT 0,    -- key of the institution that who asks acts for; 0: any
    ADD COLUMN bearing   integer    NOT NULL DEFAULT 0,    -- bits of resource.category that must all be there
    ADD COLUMN types     smallint[],                       -- resource types; NULL: any
    ADD COLUMN resources bigint[],                         -- keys of single resources; NULL: any
    ADD COLUMN home      boolean    NOT NULL DEFAULT false; -- a no that holds at the institution that keeps the data, too
COMMENT ON COLUMN access_grant.grantee IS 'key of an Organization or a Practitioner; 0: everybody';
CREATE INDEX access_grant_home ON access_grant (grantee, person) WHERE home;

-- Codes that consents speak of, each a bit of resource.category: a ValueSet, or one code (access/topics.py).
CREATE TABLE consent_topic (
    name  text    COLLATE "C" PRIMARY KEY,                 -- canonical of the ValueSet, or system|code
    bit   integer NOT NULL UNIQUE,
    codes text[]  NOT NULL                                 -- system|code
);
CREATE SEQUENCE consent_topic_change;                      -- moves with every change of the above
SELECT nextval('consent_topic_change');                     -- so that the first change is seen to move it

-- For whoever writes: no topic comes or changes while they do. Gives the number that the table stands at.
CREATE FUNCTION consent_topics_held() RETURNS bigint LANGUAGE plpgsql VOLATILE AS
$$ BEGIN
    PERFORM pg_advisory_xact_lock_shared(80001);
    RETURN (SELECT last_value FROM consent_topic_change);
END $$;
