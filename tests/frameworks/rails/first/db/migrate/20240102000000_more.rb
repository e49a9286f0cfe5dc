class More < ActiveRecord::Migration[6.1]
  def change
    add_column :items, :extra, :text
    add_index :items, :value, name: "items_value_idx"
  end
end
