CREATE TABLE items (id uuid PRIMARY KEY, value text);
SELECT electric.enable('items');
