<?php
use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\{DB, Schema};

return new class extends Migration {
    public function up()
    {
        Schema::create("items", function (Blueprint $table) {
            $table->uuid("id")->primary();
            $table->text("value")->nullable();
        });
        DB::statement("SELECT electric.enable('items')");
    }
};
