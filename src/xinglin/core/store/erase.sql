-- name: record
SELECT r.type, r.id, r.version, r.updated, r.body, r.deleted, r.person, r.custodian
FROM resource p JOIN resource r ON r.type = ANY($2::smallint[]) AND r.person = p.key AND r.custodian = p.custodian
WHERE p.key = $1 AND p.type = $3 AND NOT p.deleted AND NOT r.deleted
ORDER BY r.key = p.key DESC, r.type, r.key;

-- name: purge
-- Only of what is deleted: a version that still stands is never left without its past.
DELETE FROM history h USING resource r
WHERE h.key = ANY($1::bigint[]) AND r.key = h.key AND r.deleted;
