-- A line as it is sent to be written (access/audit/lines.py): an array of these is one argument.
CREATE TYPE audit_line AS (
    event       uuid,
    at          bigint,
    person      bigint,
    custodians  bigint[],
    disclosed   boolean,
    institution text,
    login       text,
    name        text,
    agent       text,
    client      text,
    behalf      text,
    basis       text,
    role        text,
    purpose     text,
    action      text,
    interaction text,
    target      text,
    outcome     smallint,
    why         text
);
