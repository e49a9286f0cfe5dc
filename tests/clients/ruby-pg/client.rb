require "pg"

connection = PG.connect(ENV.fetch("DATABASE_URL"))
notices = []
connection.set_notice_receiver { |result| notices << result.error_field(PG::Result::PG_DIAG_MESSAGE_PRIMARY) }
one = ->(sql, *parameters) { connection.exec_params(sql, parameters).values.first }

connection.exec("CREATE TABLE items (id int PRIMARY KEY, value text)")
puts "tag: #{connection.exec("ALTER TABLE items ENABLE ELECTRIC").cmd_status}"
connection.exec_params("ALTER TABLE items ENABLE ELECTRIC", [])
puts "notice: #{notices.last}"
connection.prepare("prepared", "SELECT $1::int, $2::text")
puts "prepared: #{connection.exec_prepared("prepared", [42, "ünïcödé"]).values.first.join(" ")}"
connection.exec("INSERT INTO items VALUES (1, 'one'); ALTER TABLE items ENABLE ELECTRIC;" \
                "INSERT INTO items VALUES (2, 'ELECTRIC ENABLE items')")
puts "together: #{one["SELECT count(*) FROM items"].first} rows"
[["ROLLBACK", "rolled back"], ["COMMIT", "committed"]].each do |finish, words|
  connection.exec("BEGIN")
  connection.exec_params("ELECTRIC GRANT SELECT ON items TO ANYONE", [])
  connection.exec(finish)
  puts "#{words}: #{one["SELECT count(*) FROM electric.grants"].first} grants"
end
begin
  connection.exec("ALTER TABLE items DROP COLUMN value")
rescue PG::Error => error
  result = error.result
  puts "refused: #{result.error_field(PG::Result::PG_DIAG_SQLSTATE)} #{result.error_field(PG::Result::PG_DIAG_MESSAGE_PRIMARY)}"
end
begin
  connection.exec("ELECTRIC GRANT JUNK ON items TO ANYONE")
rescue PG::Error => error
  result = error.result
  puts "syntax: #{result.error_field(PG::Result::PG_DIAG_SQLSTATE)} at #{result.error_field(PG::Result::PG_DIAG_STATEMENT_POSITION)}"
end
connection.copy_data("COPY items FROM STDIN") do
  (1001..2000).each { |n| connection.put_copy_data("#{n}\tcopied\n") }
end
rows = 0
connection.copy_data("COPY (SELECT * FROM items WHERE id > 1000) TO STDOUT") { rows += 1 while connection.get_copy_data }
puts "copied: 1000 in, #{rows} out"
puts "large: #{one["SELECT $1::text", "x" * 1_000_000].first.length} bytes"
