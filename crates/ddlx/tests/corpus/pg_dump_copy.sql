-- The lines of data belong to psql, which sends them apart. A server that gets this text as one string reads them as SQL, refuses
-- it as a whole, and so does whoever asks the finder.
COPY public.items (id, value) FROM stdin;
1	ELECTRIC ENABLE items;
ELECTRIC ENABLE items;
\.
ALTER TABLE items ENABLE ELECTRIC;
