COPY public.items (id, value) FROM stdin WITH (DELIMITER ';', NULL 'ELECTRIC');
ELECTRIC ENABLE public.items;
COPY (SELECT 'ELECTRIC;' AS electric) TO stdout
