-- Work that takes longer than a request: each row one job, taken by one process at a time (kernel/jobs.py).
-- Arguments and progress hold ids, counts and places to go on from; never content of records.
CREATE TABLE job (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    kind       text        NOT NULL,
    owner      text        NOT NULL,                 -- login of who asked for it; empty: the node itself
    state      text        NOT NULL DEFAULT 'queued'
               CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    arguments  jsonb       NOT NULL,
    progress   jsonb       NOT NULL DEFAULT '{}',
    error      text        NOT NULL DEFAULT '',
    created    timestamptz NOT NULL DEFAULT now(),
    started    timestamptz,
    finished   timestamptz,
    expires    timestamptz,                          -- when its results are removed; null: kept
    taken      bigint      NOT NULL DEFAULT 0,       -- counts how often it was taken: only who took it last may save
    fruitless  smallint    NOT NULL DEFAULT 0,       -- times taken since it last made progress
    held_until timestamptz                           -- the lease of the process that runs it
);
CREATE INDEX job_waiting ON job (created) WHERE state IN ('queued', 'running');
CREATE INDEX job_expires ON job (expires) WHERE expires IS NOT NULL;
