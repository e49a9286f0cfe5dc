class Drop < ActiveRecord::Migration[6.1]
  def change
    remove_column :items, :value, :text
  end
end
