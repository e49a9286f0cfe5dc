// It has no COPY of its own.
const { Client } = require('pg');

async function main() {
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.message));
  await client.query('CREATE TABLE items (id int PRIMARY KEY, value text)');
  // It keeps the first word of a tag as the command, which is all it makes of tags.
  const enabled = await client.query('ALTER TABLE items ENABLE ELECTRIC');
  if (enabled.command !== 'ELECTRIC' || enabled.rows.length !== 0) throw new Error(JSON.stringify(enabled));
  await client.query({ name: 'again', text: 'ALTER TABLE items ENABLE ELECTRIC' });
  console.log('notice:', notices.at(-1));
  const prepared = { name: 'prepared', text: 'SELECT $1::int AS n, $2::text AS t', values: [42, 'ünïcödé'] };
  await client.query(prepared);
  const { n, t } = (await client.query(prepared)).rows[0];
  console.log('prepared:', n, t);
  const several = await client.query(
    "INSERT INTO items VALUES (1, 'one'); ALTER TABLE items ENABLE ELECTRIC;" +
      "INSERT INTO items VALUES (2, 'ELECTRIC ENABLE items')",
  );
  if (several.map((result) => result.command).join() !== 'INSERT,ELECTRIC,INSERT') throw new Error(JSON.stringify(several));
  const count = async (table) => (await client.query(`SELECT count(*) FROM ${table}`)).rows[0].count;
  console.log('together:', await count('items'), 'rows');
  for (const [end, words] of [['ROLLBACK', 'rolled back:'], ['COMMIT', 'committed:']]) {
    await client.query('BEGIN');
    await client.query('ELECTRIC GRANT SELECT ON items TO ANYONE');
    await client.query(end);
    console.log(words, await count('electric.grants'), 'grants');
  }
  await client.query('ALTER TABLE items DROP COLUMN value').catch((error) => console.log('refused:', error.code, error.message));
  await client
    .query('ELECTRIC GRANT JUNK ON items TO ANYONE')
    .catch((error) => console.log('syntax:', error.code, 'at', error.position));
  const large = await client.query('SELECT $1::text AS t', ['x'.repeat(1000000)]);
  console.log('large:', large.rows[0].t.length, 'bytes');
  await client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
