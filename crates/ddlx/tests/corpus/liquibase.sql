--liquibase formatted sql
--changeset electric:1 splitStatements:true endDelimiter:;
SET SEARCH_PATH TO public, "$user","public";
ALTER TABLE ONLY "Items" /* electric */ ENABLE -- electric
  ELECTRIC;
--rollback ALTER TABLE "Items" DISABLE ELECTRIC;
--changeset electric:2
UPDATE databasechangelog SET md5sum = '8:d41d8cd98f00b204e9800998ecf8427e' WHERE author = 'electric';
