class Init < ActiveRecord::Migration[6.1]
  def up
    create_table(:items, id: :uuid, default: nil) { |table| table.text :value }
    execute "SELECT electric.enable('items')"
  end
end
