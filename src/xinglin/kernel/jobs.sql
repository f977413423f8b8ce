-- name: submit
INSERT INTO job (kind, owner, arguments, expires) VALUES ($1, $2, $3::jsonb, now() + $4::interval) RETURNING *;

-- name: find
SELECT * FROM job WHERE id = $1;

-- name: unfinished
SELECT count(*) FROM job WHERE owner = $1 AND state IN ('queued', 'running');

-- name: claim
-- The oldest job that waits, or whose process let its lease run out.
UPDATE job SET state = 'running', taken = taken + 1, fruitless = fruitless + 1, started = coalesce(started, now()),
    held_until = now() + $2::interval
WHERE id = (
    SELECT id FROM job
    WHERE kind = ANY($1::text[]) AND (state = 'queued' OR (state = 'running' AND held_until < now()))
    ORDER BY created FOR UPDATE SKIP LOCKED LIMIT 1
)
RETURNING *;

-- name: hold
UPDATE job SET held_until = now() + $3::interval WHERE id = $1 AND taken = $2 AND state = 'running';

-- name: save
UPDATE job SET progress = $3::jsonb, fruitless = 0, held_until = now() + $4::interval
WHERE id = $1 AND taken = $2 AND state = 'running';

-- name: finish
UPDATE job SET state = $3, progress = $4::jsonb, error = $5, finished = now(), held_until = NULL
WHERE id = $1 AND taken = $2 AND state = 'running';

-- name: cancel
UPDATE job SET state = 'cancelled', finished = now(), held_until = NULL
WHERE id = $1 AND state IN ('queued', 'running');

-- name: remove
DELETE FROM job WHERE id = $1;

-- name: release
UPDATE job SET held_until = now() WHERE id = $1 AND taken = $2 AND state = 'running';

-- name: expired
SELECT * FROM job WHERE kind = ANY($1::text[]) AND (expires < now() OR state = 'cancelled')
  AND NOT (state = 'running' AND held_until >= now())
ORDER BY created LIMIT 100;
