-- ELECTRIC ENABLE items;
SELECT 'ELECTRIC ENABLE items;';
SELECT electric.status()
