-- Makes what 0.1.0 left in a database what CREATE EXTENSION makes in 0.2.0. Sections in the order in which they must run.

-- Membership: typed tables, functions without internal helpers.

-- Events and rights: what may write the tables of the extension.

-- Subscribers: without superuser.

-- What goes over to replicas, and what is evaluated.

-- Limits, and what is told.
