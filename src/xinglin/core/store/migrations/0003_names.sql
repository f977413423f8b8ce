-- The beginnings of people's names as tokens, in the default order (core/search/hashes.prefix_hash): for what is stored
-- already. The numbers are the hashes of the paths name, name.family and name.given of Patient, Person, Practitioner
-- and RelatedPerson (core/search/parameters.NAMES).
INSERT INTO token (hash, person, date, key, system)
SELECT DISTINCT
    ('x' || encode(substr(sha256(convert_to(s.path || '|' || left(s.value, n), 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint,
    r.person, r.date, r.key, 0
FROM string s JOIN resource r ON r.key = s.key CROSS JOIN generate_series(1, 8) AS n
WHERE n <= char_length(s.value) AND NOT r.deleted AND s.path IN (
    -1535385519894440120, -1518590102360937418, 599201240642844015,
    8147584636704972452,
    -5387197055800196433, -8327462178554856739, 1916277983856172758,
    4204618917439461371
);
