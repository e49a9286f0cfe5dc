<?php
use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\{DB, Schema};

return new class extends Migration {
    public $withinTransaction = false;

    public function up()
    {
        DB::statement("CREATE INDEX CONCURRENTLY items_extra_idx ON items (extra)");
    }
};
