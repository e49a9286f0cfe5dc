SET statement_timeout = 0;
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
COMMENT ON EXTENSION electric IS 'schema migrations that travel with the rows; ELECTRIC';
CREATE FUNCTION public."weird ; name"() RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$ SELECT 'a;' || $1 $_$;
CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.items ENABLE ELECTRIC;
SET search_path TO "$user", public;
INSERT INTO "schema_migrations" (version) VALUES
('20230504114018'),
('20230504114019');
