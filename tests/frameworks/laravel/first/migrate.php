<?php
// What artisan migrate does, without the application around it.
require_once "Illuminate/Database/autoload.php";
require_once "Illuminate/Events/autoload.php";
require_once "Illuminate/Filesystem/autoload.php";

use Illuminate\Container\Container;
use Illuminate\Database\Capsule\Manager;
use Illuminate\Database\Migrations\{DatabaseMigrationRepository, Migrator};
use Illuminate\Support\Facades\Facade;

$app = new Container;
Container::setInstance($app);
$capsule = new Manager($app);
$capsule->addConnection([
    "driver" => "pgsql", "host" => getenv("PGHOST"), "port" => getenv("PGPORT"), "database" => getenv("PGDATABASE"),
    "username" => getenv("PGUSER"), "password" => getenv("PGPASSWORD"), "charset" => "utf8", "prefix" => "",
    "schema" => "public", "sslmode" => "disable",
]);
$capsule->setAsGlobal();
$databases = $capsule->getDatabaseManager();
$app->instance("db", $databases);
$app->bind("db.schema", fn () => $databases->connection()->getSchemaBuilder());
Facade::setFacadeApplication($app);
$repository = new DatabaseMigrationRepository($databases, "migrations");
if (!$repository->repositoryExists()) {
    $repository->createRepository();
}
$files = new Illuminate\Filesystem\Filesystem;
$migrator = new Migrator($repository, $databases, $files, new Illuminate\Events\Dispatcher($app));
print_r(array_map("basename", $migrator->run([__DIR__ . "/mig"])));
