CREATE TABLE projects (id uuid PRIMARY KEY, owner_id uuid NOT NULL);

ALTER TABLE projects
  ENABLE ELECTRIC;

-- The ELECTRIC ASSIGN and ELECTRIC GRANT DDLX statements are currently
-- a work in progress.
ELECTRIC ASSIGN 'projects:owner'
  TO projects.owner_id;

ELECTRIC GRANT ALL
  ON projects
  TO 'projects:owner';

ELECTRIC GRANT SELECT
  ON projects
  TO ANYONE;
