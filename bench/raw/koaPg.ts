import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import pg from 'pg';
import { argumentOfChild, sayReady } from '../child.js';

/** What koa and pg alone do of DescribeKeyPairs: one SELECT, answered as a document of the same size. */
const { settings, userId, length } = argumentOfChild<{ settings: pg.PoolConfig; userId: string; length: number }>();

const pool = new pg.Pool({ ...settings, max: 10 });
const app = new Koa();
app.use(async (ctx) => {
  const { rows } = await pool.query('SELECT * FROM key_pairs WHERE user_id = $1 AND deleted = $2 ORDER BY name', [
    userId,
    false,
  ]);
  ctx.type = 'text/xml';
  if (rows.length === 0) ctx.throw(500);
  ctx.body = `<keys>${rows.length}</keys>`.padEnd(length);
});
const server = app.listen(0, '127.0.0.1', () => sayReady({ port: (server.address() as AddressInfo).port }));
