-- name: lock
SELECT key, category, type, id, version, updated, body, deleted, person, custodian
FROM resource WHERE key = ANY($1::bigint[]) ORDER BY key FOR UPDATE;

-- name: earlier
SELECT body FROM history WHERE key = $1 AND NOT deleted ORDER BY version DESC LIMIT 100;

-- name: supersede
-- Keep the version that is being replaced, and take its rows out of the indexes. Token rows go by their full key.
WITH kept AS (
    INSERT INTO history (key, type, version, deleted, person, custodian, category, updated, id, body)
    SELECT key, type, version, deleted, person, custodian, category, updated, id, body
    FROM resource WHERE key = ANY($1::bigint[])
), tokens AS (
    DELETE FROM token t USING unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS o(hash, person, date, key)
    WHERE t.hash = o.hash AND t.person = o.person AND t.date = o.date AND t.key = o.key
), strings AS (
    DELETE FROM string WHERE key = ANY($1::bigint[])
), moments AS (
    DELETE FROM moment WHERE key = ANY($1::bigint[])
)
DELETE FROM quantity WHERE key = ANY($1::bigint[]);

-- name: replace
UPDATE resource r SET
    version = n.version, deleted = n.deleted, person = n.person, custodian = n.custodian, category = n.category,
    date = n.date, date_end = n.date_end, updated = n.updated, present = n.present, body = n.body
FROM unnest($1::bigint[], $2::integer[], $3::boolean[], $4::bigint[], $5::bigint[], $6::integer[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[])
     AS n(key, version, deleted, person, custodian, category, date, date_end, updated, present, body)
WHERE r.key = n.key;

-- name: store
-- What is new of a transaction, in one statement: resources, all index rows, lines of the change feed. The resources in
-- the order of their keys: transactions that create the same ones wait for each other, and do not deadlock.
WITH resources AS (
    INSERT INTO resource
        (key, type, version, deleted, person, custodian, category, date, date_end, updated, present, id, body)
    SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::integer[], $4::boolean[], $5::bigint[], $6::bigint[],
                         $7::integer[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bytea[])
    ORDER BY 1
), tokens AS (
    INSERT INTO token (hash, person, date, key, system)
    SELECT * FROM unnest($14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::integer[])
), strings AS (
    INSERT INTO string (path, value, exact, key, person)
    SELECT * FROM unnest($19::bigint[], $20::text[], $21::text[], $22::bigint[], $23::bigint[])
), moments AS (
    INSERT INTO moment (path, low, high, key, person)
    SELECT * FROM unnest($24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[])
), quantities AS (
    INSERT INTO quantity (path, unit, low, high, canonical, canonical_low, canonical_high, key, person)
    SELECT * FROM unnest($29::bigint[], $30::bigint[], $31::float8[], $32::float8[], $33::bigint[], $34::float8[],
                         $35::float8[], $36::bigint[], $37::bigint[])
)
INSERT INTO feed (key, version, type, person, updated)
SELECT * FROM unnest($38::bigint[], $39::integer[], $40::smallint[], $41::bigint[], $42::bigint[]);
