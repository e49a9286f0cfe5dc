-- What ALTER DEFAULT PRIVILEGES gave goes: nothing of the extension has other privileges than its scripts give.
CREATE FUNCTION electric.only_own_privileges(functions boolean) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'electric_only_own_privileges';
SELECT electric.only_own_privileges(true);
DROP FUNCTION electric.only_own_privileges(boolean);
