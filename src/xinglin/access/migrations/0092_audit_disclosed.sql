-- Whether data left the institution that holds it, by export or under a consent: judged when the line is written.
ALTER TABLE audit ADD COLUMN disclosed boolean NOT NULL DEFAULT false;
