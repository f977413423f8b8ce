-- Leaves whose line and salt were erased, and the line that accounts for it (access/audit/erasure.py).
CREATE TABLE audit_erasure (
    leaf bigint PRIMARY KEY REFERENCES audit_leaf,
    by   bigint NOT NULL                               -- seq of the line
);
