<?php
use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\{DB, Schema};

return new class extends Migration {
    public function up()
    {
        Schema::table("items", function (Blueprint $table) {
            $table->text("extra")->nullable();
            $table->index("value", "items_value_idx");
        });
    }
};
