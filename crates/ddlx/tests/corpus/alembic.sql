
CREATE TABLE items (
	id UUID NOT NULL, 
	value TEXT, 
	PRIMARY KEY (id)
)

;
ALTER TABLE items ENABLE ELECTRIC;
INSERT INTO alembic_version (version_num) VALUES ('0001_electric') RETURNING alembic_version.version_num;
UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001_electric'
