--! Previous: sha1:3ed95c8d11ba8e6e5db4a2c1bd36d9b32a1a4a0b
--! Hash: sha1:0f1d
--! Message: electric

drop function if exists app_public.current_user_id();
create function app_public.current_user_id() returns uuid as $$
  select nullif(pg_catalog.current_setting('jwt.claims.user_id', true), '')::uuid;
$$ language sql stable;
create table if not exists app_public.projects (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid, -- electric assign 'x' to projects.owner_id;
  data jsonb not null default '{"electric": "a;b"}' check (data ? 'electric' or data #>> '{a,b}' <> '--;')
);
electric enable app_public.projects;
electric grant select (id, owner_id), update (owner_id) on app_public.projects
  to (app_public.projects, 'owner'), authenticated
  where (
    ROW.owner_id = AUTH.user_id -- the owner; (or
    or /* ) */ exists (select 1)
  );
electric revoke delete on app_public.projects from anyone;
