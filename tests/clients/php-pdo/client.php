<?php
// PDO gives its users neither tags nor notices nor the position of an error by itself: that is read from the message.
$dsn = sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'));
$pdo = new PDO($dsn, getenv('PGUSER'), getenv('PGPASSWORD'), [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
function one(string $sql, array $parameters = []): array
{
    global $pdo;
    $statement = $pdo->prepare($sql);
    $statement->execute($parameters);
    return $statement->fetch(PDO::FETCH_NUM);
}
$pdo->exec('CREATE TABLE items (id int PRIMARY KEY, value text)');
$pdo->exec('ALTER TABLE items ENABLE ELECTRIC');
$pdo->prepare('ALTER TABLE items ENABLE ELECTRIC')->execute();
echo 'prepared: ', implode(' ', one('SELECT ?::int, ?::text', [42, 'ünïcödé'])), "\n";
$pdo->exec("INSERT INTO items VALUES (1, 'one'); ALTER TABLE items ENABLE ELECTRIC;"
    . "INSERT INTO items VALUES (2, 'ELECTRIC ENABLE items')");
echo 'together: ', one('SELECT count(*) FROM items')[0], " rows\n";
foreach (['rollBack' => 'rolled back', 'commit' => 'committed'] as $end => $words) {
    $pdo->beginTransaction();
    $pdo->prepare('ELECTRIC GRANT SELECT ON items TO ANYONE')->execute();
    $pdo->$end();
    echo "$words: ", one('SELECT count(*) FROM electric.grants')[0], " grants\n";
}
try {
    $pdo->exec('ALTER TABLE items DROP COLUMN value');
} catch (PDOException $error) {
    preg_match('/ERROR:\s+(.*)/', $error->errorInfo[2], $found);
    echo "refused: {$error->errorInfo[0]} {$found[1]}\n";
}
try {
    $pdo->exec('ELECTRIC GRANT JUNK ON items TO ANYONE');
} catch (PDOException $error) {
    preg_match('/LINE 1: .*\n( *)\^/', $error->errorInfo[2], $found);
    echo "syntax: {$error->errorInfo[0]} at ", strlen($found[1]) - strlen('LINE 1: ') + 1, "\n";
}
$pdo->pgsqlCopyFromArray('items', array_map(fn ($n) => "$n\tcopied", range(1001, 2000)));
$rows = $pdo->pgsqlCopyToArray('items');
echo 'copied: 1000 in, ', count($rows) - 2, " out\n";
echo 'large: ', strlen(one('SELECT ?::text', [str_repeat('x', 1000000)])[0]), " bytes\n";
