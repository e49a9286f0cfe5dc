class Concurrently < ActiveRecord::Migration[6.1]
  disable_ddl_transaction!

  def change
    add_index :items, :extra, name: "items_extra_idx", algorithm: :concurrently
  end
end
