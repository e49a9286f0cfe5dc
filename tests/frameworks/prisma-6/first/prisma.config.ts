import { defineConfig } from "prisma/config";
import { PrismaPg } from "@prisma/adapter-pg";

// adapter-pg 6.x rejects result columns of type `name` (oid 19), which the schema
// engine's own catalog queries return: relabel result metadata (nothing sent changes).
const map: Record<number, number> = { 19: 25, 1003: 1009, 18: 25, 26: 20 };
const relabel = (r: any) => {
  for (const x of Array.isArray(r) ? r : [r]) for (const f of x?.fields ?? []) f.dataTypeID = map[f.dataTypeID] ?? f.dataTypeID;
  return r;
};
function fix(adapter: any) {
  const c = adapter.client, q = c.query.bind(c);
  c.query = (...a: any[]) => q(...a).then(relabel);
  // SPLIT=1 keeps adapter-pg's naive split on ";"; default = like the native engine: one simple Query per migration file
  if (!process.env.SPLIT) adapter.executeScript = async (s: string) => { await c.query(s).catch((e: any) => adapter.onError(e)); };
  return adapter;
}
class Factory extends (PrismaPg as any) {
  async connect() { return fix(await super.connect()); }
  async connectToShadowDb() {
    const a = fix(await super.connectToShadowDb());
    // adapter-pg drops the shadow database while its own idle pool client is still connected: close it first
    const end = a.client.end.bind(a.client), rel = a.release;
    let ended: Promise<void> | undefined;
    a.client.end = () => (ended ??= end());
    a.release = async () => { await a.client.end(); await rel?.(); };
    return a;
  }
}
const u = new URL(process.env.DATABASE_URL!);
export default defineConfig({
  engine: "js",
  experimental: { adapter: true },
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  // discrete fields, not connectionString: connectToShadowDb() only overrides `database`
  adapter: async () => new Factory({ host: u.hostname, port: Number(u.port), user: u.username, password: u.password, database: u.pathname.slice(1) }) as any,
} as any);
