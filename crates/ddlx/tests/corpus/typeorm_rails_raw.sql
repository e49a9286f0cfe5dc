START TRANSACTION;CREATE TABLE "post" ("id" uuid NOT NULL DEFAULT uuid_generate_v4(), "title" character varying NOT NULL, CONSTRAINT "PK_be5fda3aac270b134ff9c21cdee" PRIMARY KEY ("id"));ALTER TABLE "post" ENABLE ELECTRIC;CREATE OR REPLACE FUNCTION next_id(OUT result bigint) AS $$
DECLARE our_epoch bigint := 1314220021721; -- electric;
BEGIN
  SELECT (1 << 23) | nextval('s') % 1024 INTO result;
END;
$$ LANGUAGE PLPGSQL;ELECTRIC DISABLE "post";COMMIT
