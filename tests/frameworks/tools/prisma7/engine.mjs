#!/usr/bin/env node
// Stand-in for the Prisma 7 `schema-engine` binary (JSON-RPC over stdio), backed by the WASM build of the
// same Rust schema engine + @prisma/adapter-pg.  PRISMA_SCHEMA_ENGINE_BINARY=/path/engine.mjs
import { readFileSync, appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory } from "@prisma/driver-adapter-utils";
import * as bg from "@prisma/schema-engine-wasm/schema_engine_bg";
const log = process.env.SHIM_LOG ? s => appendFileSync(process.env.SHIM_LOG, s + "\n") : () => {};
const wasmPath = createRequire(import.meta.url).resolve("@prisma/schema-engine-wasm/schema_engine_bg").replace(/\.js$/, ".wasm");
const { instance } = await WebAssembly.instantiate(readFileSync(wasmPath), { "./schema_engine_bg.js": bg });
bg.__wbg_set_wasm(instance.exports); instance.exports.__wbindgen_start();
globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message(m) { console.error(m); } };

const argv = process.argv.slice(2), opt = n => { const i = argv.indexOf(n); return i < 0 ? undefined : argv[i + 1]; };
const ds = JSON.parse(opt("--datasource") ?? "{}"); log("ARGV " + JSON.stringify(argv));
const map = { 19: 25, 1003: 1009, 18: 25, 26: 20 };
const relabel = r => { for (const x of Array.isArray(r) ? r : [r]) for (const f of x?.fields ?? []) f.dataTypeID = map[f.dataTypeID] ?? f.dataTypeID; return r; };
const fix = a => {
  const c = a.client, q = c.query.bind(c); c.query = (...x) => q(...x).then(relabel);
  a.executeScript = async s => { await c.query(s).catch(e => a.onError(e)); };   // one simple Query per script, as the native engine
  return a;
};
class Factory extends PrismaPg {
  async connect() { return fix(await super.connect()); }
  async connectToShadowDb() {
    const a = fix(await super.connectToShadowDb()), end = a.client.end.bind(a.client), rel = a.release; let e;
    a.client.end = () => (e ??= end()); a.release = async () => { await a.client.end(); await rel?.(); }; return a;
  }
}
const u = new URL(ds.url ?? process.env.DATABASE_URL);
const factory = new Factory({ host: u.hostname, port: Number(u.port || 5432), user: decodeURIComponent(u.username), password: decodeURIComponent(u.password), database: u.pathname.slice(1) });
if (argv.includes("can-connect-to-database")) {
  try { const c = await factory.connect(); await c.dispose(); await c.client.end?.().catch(() => {}); process.exit(0); }
  catch (e) { console.error(JSON.stringify({ level: "ERROR", fields: { message: String(e.message), error_code: "P1001", meta: {} } })); process.exit(1); }
}
let engine, datamodels; const di = argv.indexOf("--datamodels");
if (di >= 0) { datamodels = []; for (let i = di + 1; i < argv.length && !argv[i].startsWith("--"); i++) datamodels.push([argv[i], readFileSync(argv[i], "utf8")]); }
const names = { getDatabaseVersion: "version" };
for await (const line of createInterface({ input: process.stdin })) {
  if (!line.trim()) continue;
  const { id, method, params } = JSON.parse(line); log("CALL " + method + " " + JSON.stringify(params).slice(0, 300));
  let out;
  try {
    engine ??= await bg.SchemaEngine.new({ datamodels }, m => log("LOG " + m), bindMigrationAwareSqlAdapterFactory(factory));
    out = { jsonrpc: "2.0", id, result: (await engine[names[method] ?? method](params)) ?? null };
  } catch (e) {
    log("ERR " + String(e.stack ?? e));
    out = { jsonrpc: "2.0", id, error: { code: 4466, message: "An error happened. Check the data field for details.", data: { is_panic: false, message: String(e.message ?? e), meta: e.meta ?? {}, error_code: e.code ?? null } } };
  }
  process.stdout.write(JSON.stringify(out) + "\n");
}
process.exit(0);
