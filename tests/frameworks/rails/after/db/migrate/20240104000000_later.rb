class Later < ActiveRecord::Migration[6.1]
  def change
    add_column :items, :later, :integer, default: 7
  end
end
