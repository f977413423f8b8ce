-- Matching: what candidates share, and the weights that pairs are judged by.

-- Keys of access.persons.blocking, hashed. Narrow: ten to fifteen rows a Patient. Can be rebuilt from the Patients
-- (`xinglin persons index`).
CREATE TABLE person_block (
    block   bigint NOT NULL,
    patient bigint NOT NULL                    -- key of the Patient resource
);
CREATE INDEX person_block_block   ON person_block (block, patient);
CREATE INDEX person_block_patient ON person_block (patient);

-- Of the terms that candidates shared before, the identifiers stay: proofs of identity are held against them.
DELETE FROM person_term WHERE kind = 9 AND term NOT LIKE 'i:%';

-- Weights this node has trained. The one adopted last judges; with none, those that are shipped.
CREATE TABLE person_weights (
    version text        PRIMARY KEY,
    weights jsonb       NOT NULL,              -- access.persons.weights.Weights
    trained timestamptz NOT NULL,
    adopted timestamptz
);
