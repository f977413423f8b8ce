-- Search parameters posted at run time, as every process registers them: a projection of SearchParameter resources.
CREATE TABLE custom_parameter (
    url        text    PRIMARY KEY,
    key        bigint  NOT NULL UNIQUE,     -- of the SearchParameter resource
    generation bigint  GENERATED ALWAYS AS IDENTITY,   -- of this registration: part of the hashes of its rows
    definition jsonb   NOT NULL,
    ready      boolean NOT NULL DEFAULT false          -- existing data is indexed
);

-- One row that changes with every change of the above: processes see from it that they must read again.
CREATE TABLE custom_parameter_state (number bigint NOT NULL);
INSERT INTO custom_parameter_state VALUES (0);
