// node-postgres' pools: URL CLIENTS. The packages are in the folder that DRIVERS names.

import assert from 'node:assert'
import { createRequire } from 'node:module'

const need = createRequire(process.env.DRIVERS + '/')
const pg = need('pg')

const APPLICATIONS = 4
const UNITS = 6

const [url, clients] = [process.argv[2], Number(process.argv[3])]
const options = { connectionString: url, max: clients / APPLICATIONS, idleTimeoutMillis: 0 }
const pools = Array.from({ length: APPLICATIONS }, () => new pg.Pool(options))
for (const pool of pools) pool.on('connect', (client) => client.query("SET lock_timeout = '20s'"))
await pools[0].query('CREATE TABLE item (id serial PRIMARY KEY, owner int, what text)')

async function work(pool, owner) {
  const { rows } = await pool.query('INSERT INTO item (owner, what) VALUES ($1, $2) RETURNING id', [owner, 'a'])
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('UPDATE item SET what = $2 WHERE id = $1', [rows[0].id, 'b'])
    await client.query('SAVEPOINT one')
    await assert.rejects(client.query('SELECT 1 / 0'), /division by zero/)
    await client.query('ROLLBACK TO one')
    await client.query('COMMIT')
  } finally {
    client.release()
  }
  const named = { name: 'mine', text: 'SELECT owner, what FROM item WHERE id = $1', values: [rows[0].id] }
  assert.deepStrictEqual((await pool.query(named)).rows, [{ owner, what: 'b' }])
  assert.deepStrictEqual((await pool.query('SHOW lock_timeout')).rows, [{ lock_timeout: '20s' }])
}

// All connections are open at once before the work begins.
const all = await Promise.all(Array.from({ length: clients }, (_, at) => pools[at % APPLICATIONS].connect()))
for (const client of all) client.release()
await Promise.all(Array.from({ length: clients }, async (_, at) => {
  for (let unit = 0; unit < UNITS; unit++) await work(pools[at % APPLICATIONS], at)
}))
console.log('done')
process.stdin.resume()
await new Promise((resolve) => process.stdin.on('end', resolve))
await Promise.all(pools.map((pool) => pool.end()))
