-- name: batch
-- The next current versions of a type that were written by a moment, in the order of writing.
SELECT updated, key FROM resource
WHERE type = $1 AND NOT deleted AND updated <= $2 AND (updated, key) > ($3, $4)
ORDER BY updated, key LIMIT $5;

-- name: held
-- Locked in the order that writers lock in; what was rewritten meanwhile is left to its writer.
SELECT key, person, date, body FROM resource
WHERE key = ANY($1::bigint[]) AND NOT deleted AND updated <= $2 ORDER BY key FOR SHARE;

-- name: remove
-- Exactly these rows, so that a batch done twice is done once.
WITH tokens AS (
    DELETE FROM token t USING unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[])
        AS o(hash, person, date, key, system)
    WHERE t.hash = o.hash AND t.person = o.person AND t.date = o.date AND t.key = o.key
), strings AS (
    DELETE FROM string s USING unnest($6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[])
        AS o(path, value, exact, key, person)
    WHERE s.key = o.key AND s.path = o.path
), moments AS (
    DELETE FROM moment m USING unnest($11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
        AS o(path, low, high, key, person)
    WHERE m.key = o.key AND m.path = o.path
)
DELETE FROM quantity q
USING unnest($16::bigint[], $17::bigint[], $18::float8[], $19::float8[], $20::bigint[], $21::float8[], $22::float8[],
             $23::bigint[], $24::bigint[])
    AS o(path, unit, low, high, canonical, canonical_low, canonical_high, key, person)
WHERE q.key = o.key AND q.path = o.path;

-- name: add
WITH tokens AS (
    INSERT INTO token (hash, person, date, key, system)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[])
), strings AS (
    INSERT INTO string (path, value, exact, key, person)
    SELECT * FROM unnest($6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[])
), moments AS (
    INSERT INTO moment (path, low, high, key, person)
    SELECT * FROM unnest($11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
)
INSERT INTO quantity (path, unit, low, high, canonical, canonical_low, canonical_high, key, person)
SELECT * FROM unnest($16::bigint[], $17::bigint[], $18::float8[], $19::float8[], $20::bigint[], $21::float8[],
                     $22::float8[], $23::bigint[], $24::bigint[]);
