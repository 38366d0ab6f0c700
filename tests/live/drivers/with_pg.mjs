// What node-postgres does, by many clients at once: URL SEED CLIENTS ROUNDS [-SCENARIO…].
// The packages are in the folder that DRIVERS names.
//
// As in transcript.py: a transcript tells what an application sees, and nothing that differs between
// two runs by itself.

import { createRequire } from 'node:module'
import { Readable, Writable } from 'node:stream'
import { pipeline as flow } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const need = createRequire(process.env.DRIVERS + '/')
const pg = need('pg')
const Cursor = need('pg-cursor')
const QueryStream = need('pg-query-stream')
const { from: copyFrom, to: copyTo } = need('pg-copy-streams')

/** Seeded dice: mulberry32. */
function dice(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

class Client {
  constructor(url, seed, number) {
    this.url = url
    this.number = number
    this.dice = dice(seed * 1000 + number)
    // Pauses are of their own dice: how often we pause must not change what we do.
    this.pauses = dice(seed * 1000 + number + 500)
    this.lines = []
  }

  say(...what) {
    const shown = what.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
    this.lines.push(`${this.number} ${this.scenario}: ${shown.join(' ')}`.replaceAll('\n', '\\n'))
  }

  rest() {
    return sleep([0, 0, 1, 4][Math.floor(this.pauses() * 4)])
  }

  table(name) {
    return `${name}_${this.number}`
  }

  *order(scenarios, rounds) {
    for (let round = 0; round < rounds; round++) {
      const left = [...scenarios]
      while (left.length > 0) {
        const [scenario] = left.splice(Math.floor(this.dice() * left.length), 1)
        this.scenario = scenario.name
        yield scenario
      }
    }
  }

  async fails(act) {
    try {
      await act()
      this.say('no error')
    } catch (error) {
      this.say('error', failure(error))
    }
  }
}

function failure(error) {
  if (!error.code || !error.severity) return `${error.name}: ${error.message}`
  const { severity, code, message, detail, hint, position, where, schema, table, column, constraint } = error
  return [severity, code, message, detail, hint, position, where, schema, table, column, constraint].join(' | ')
}

async function connect(client, config = {}) {
  const made = new pg.Client({ connectionString: client.url, ...config })
  made.on('error', () => {})
  await made.connect()
  return made
}

async function fresh(client, name, columns = 'id int primary key, what text') {
  const table = client.table(name)
  await client.conn.query(`drop table if exists ${table}`)
  await client.conn.query(`create table ${table} (${columns})`)
  return table
}

const told = (result) => [result.command, result.rowCount, result.rows, result.fields.map((field) => [field.name, field.dataTypeID])]

async function queries(client) {
  const { conn } = client
  for (let turn = 0; turn < 3; turn++) {
    client.say(told(await conn.query('select 1 as a, null as b, now() is null as c')))
    client.say(told(await conn.query('select $1::int + 1 as sum, $2::text', [turn, 'tëxt'])))
    client.say(told(await conn.query({ name: 'kept', text: 'select $1::int * 2 as twice', values: [turn] })))
    client.say((await conn.query('select 1; select 2 as b; select 3 where false')).map(told))
    client.say(told(await conn.query({ text: 'select 1, 2', rowMode: 'array' })), told(await conn.query('')))
    await client.rest()
  }
  for (let number = 0; number < 30; number++) {
    const name = `own ${number % 10}`
    client.say((await conn.query({ name, text: `select ${number % 10} + $1::int as sum`, values: [number] })).rows)
  }
  await client.fails(() => conn.query({ name: 'kept', text: 'select 2', values: [] }))
  client.say(told(await conn.query({ text: 'select generate_series(1, 7) as g', values: [], rows: 3 })))
}

async function values(client) {
  const given = [
    ['int', 1], ['bigint', '9007199254740993'], ['numeric', '12345.678900'], ['float8', 1.5], ['text', "tëxt '\\"], ['text', null],
    ['bytea', Buffer.from([0, 255, 92])], ['timestamptz', new Date(0)], ['int[]', [1, null, 3]], ['text[]', [['a', 'b,"'], ['c', null]]],
    ['jsonb', { a: [1, null, 'ü'] }], ['bool', true], ['interval', '3 days 5 seconds'], ['uuid', '00000000-0000-0000-0000-000000000007'],
  ]
  // Of the others the driver does not read the binary form.
  const simple = ['int', 'float8', 'bool', 'bytea', 'text']
  for (const binary of [false, true]) {
    for (const [type, one] of given.filter(([type]) => !binary || simple.includes(type))) {
      client.say(told(await client.conn.query({ text: `select $1::${type} as value`, values: [one], binary })))
    }
  }
}

async function transactions(client) {
  const { conn } = client
  const table = await fresh(client, 'transactions')
  await conn.query('begin isolation level serializable')
  client.say((await conn.query('show transaction_isolation')).rows, conn.getTransactionStatus())
  await conn.query(`insert into ${table} values (1, 'a')`)
  await conn.query('savepoint s')
  await client.rest()
  await client.fails(() => conn.query(`insert into ${table} values ($1)`, [1]))
  await client.fails(() => conn.query('select 1'))
  await conn.query('rollback to s')
  await conn.query(`insert into ${table} values (2, 'b')`)
  client.say((await conn.query('commit')).command, conn.getTransactionStatus())
  await conn.query('begin')
  await conn.query(`delete from ${table}`)
  await client.fails(() => conn.query('select 1 / 0'))
  client.say((await conn.query('commit')).command)
  client.say((await conn.query(`select * from ${table} order by id`)).rows)
}

/** Many queries written before the first is answered. */
async function pipelines(client) {
  const conn = await connect(client, { pipeline: true })
  const table = await fresh(client, 'pipelines')
  for (let turn = 0; turn < 2; turn++) {
    const asked = []
    for (let number = 0; number < 40; number++) {
      const divisor = number % 7
      asked.push(conn.query('select 100 / $1::int as part', [divisor]))
      asked.push(conn.query({ name: `divide ${number % 3}`, text: `select ${number % 3} + 100 / $1::int as part`, values: [divisor] }))
      if (number % 5 === 0) asked.push(conn.query(`select ${number} as simple; select 2`))
      if (number % 10 === 0) asked.push(conn.query(`insert into ${table} values (${turn * 100 + number})`))
    }
    for (const one of await Promise.allSettled(asked)) {
      client.say(one.reason ? failure(one.reason) : [one.value].flat().map((result) => result.rows))
    }
    await client.rest()
  }
  const block = ['begin', `insert into ${table} values (7)`, 'select 1 / 0', `insert into ${table} values (8)`, 'commit', 'select 9 as after']
  const ended = await Promise.allSettled(block.map((text) => conn.query(text)))
  client.say(ended.map((one) => (one.reason ? failure(one.reason) : one.value.command)))
  client.say((await conn.query(`select count(*), max(id) from ${table}`)).rows, conn.getTransactionStatus())
  await conn.end()
}

async function queued(client) {
  const asked = Array.from({ length: 30 }, (_, number) => client.conn.query('select 10 / $1::int as part', [number % 4]))
  for (const one of await Promise.allSettled(asked)) client.say(one.reason ? failure(one.reason) : one.value.rows)
}

async function cursors(client) {
  const { conn } = client
  const cursor = conn.query(new Cursor('select generate_series(1, $1::int) as g', [10]))
  client.say(await cursor.read(3))
  await client.rest()
  client.say(await cursor.read(4), await cursor.read(100), await cursor.read(1))
  await cursor.close()
  const left = conn.query(new Cursor('select generate_series(1, 1000) as g'))
  client.say((await left.read(2)).length)
  await left.close()
  await client.fails(async () => {
    const failing = conn.query(new Cursor('select 1 / (5 - g) from generate_series(1, 10) g'))
    client.say(await failing.read(3))
    await failing.read(3)
  })
  await conn.query('begin')
  const inside = conn.query(new Cursor('select generate_series(1, 5) as g'))
  client.say(await inside.read(2))
  await inside.close()
  client.say((await conn.query('select 1 as amid')).rows, (await conn.query('commit')).command)
}

async function streams(client) {
  const { conn } = client
  let sum = 0
  for await (const row of conn.query(new QueryStream('select generate_series(1, $1::int) as g', [2000], { batchSize: 90 }))) sum += row.g
  client.say(sum)
  await client.fails(async () => {
    let seen = 0
    for await (const row of conn.query(new QueryStream('select 1 / (50 - g) as p from generate_series(1, 100) g', [], { batchSize: 7 }))) seen += 1 + 0 * row.p
    client.say(seen)
  })
  let few = 0
  for await (const row of conn.query(new QueryStream('select generate_series(1, 100000) as g'))) if ((few += row.g) > 10) break
  client.say(few, (await conn.query('select 1 as after')).rows)
}

async function copies(client) {
  const { conn } = client
  const table = await fresh(client, 'copies')
  const into = async (lines) => {
    const stream = conn.query(copyFrom(`copy ${table} from stdin`))
    await flow(Readable.from(lines), stream)
    return stream.rowCount
  }
  client.say(await into(Array.from({ length: 500 }, (_, number) => `${number}\tline ${number}\n`)))
  const out = async (text) => {
    let length = 0
    await flow(conn.query(copyTo(text)), new Writable({ write: (chunk, _, done) => ((length += chunk.length), done()) }))
    return length
  }
  client.say(await out(`copy ${table} to stdout`), await out(`copy (select generate_series(1, 20000)) to stdout`))
  await client.rest()
  await client.fails(() => into(['1\ttwice\n']))
  await client.fails(() => into(Array(5000).fill('bad\n')))
  await client.fails(() => into(['600\tx\n', '601']))
  await client.fails(() => out('copy (select 1 / (200 - g) from generate_series(1, 300) g) to stdout'))
  await client.fails(() => out('copy no_such to stdout'))
  await client.fails(async () => {
    const stream = conn.query(copyFrom(`copy ${table} from stdin`))
    stream.write('700\tx\n')
    const over = new Promise((_, reject) => stream.on('error', reject))
    stream.destroy(new Error('mine'))
    await over
  })
  client.say((await conn.query(`select count(*), max(id) from ${table}`)).rows)
}

async function notifications(client) {
  const channel = client.table('channel')
  const listener = await connect(client)
  const heard = []
  let enough
  const all = new Promise((resolve) => (enough = resolve))
  listener.on('notification', (one) => heard.push([one.channel, one.payload]) === 4 && enough())
  await listener.query(`listen ${channel}`)
  for (let number = 0; number < 2; number++) await client.conn.query('select pg_notify($1, $2)', [channel, `told ${number}`])
  await client.conn.query(`begin; notify ${channel}, 'same'; notify ${channel}, 'same'; commit`)
  await client.conn.query(`begin; notify ${channel}, 'undone'; rollback`)
  await client.conn.query(`notify ${channel}, 'last'`)
  await all
  await listener.query(`unlisten ${channel}`)
  await client.conn.query(`notify ${channel}, 'unheard'`)
  client.say((await listener.query('select 1 as a')).rows, heard)
  await listener.end()
}

async function notices(client) {
  const seen = []
  const keep = (notice) => seen.push([notice.severity, notice.code, notice.message, notice.hint])
  client.conn.on('notice', keep)
  await client.conn.query("do $$ begin raise notice 'one'; raise warning 'two' using hint = 'h'; end $$")
  await client.conn.query('drop table if exists no_such_table')
  await client.conn.query('commit')
  client.conn.off('notice', keep)
  client.say(seen)
}

async function errors(client) {
  const { conn } = client
  const table = await fresh(client, 'errors', "id int primary key, what text not null check (what <> 'bad')")
  const texts = ['select 1 / 0', 'selekt', 'select nothing', `insert into ${table} values (1)`, `insert into ${table} values (1, 'bad')`,
    `insert into ${table} values (1, 'a'), (1, 'b')`, 'rollback to t', `insert into ${table} values (7, 'a'); select 1 / 0`]
  for (const text of texts) {
    await client.fails(() => conn.query(text))
    await client.fails(() => conn.query(text, []))
    await client.fails(() => conn.query({ name: text, text, values: [] }))
  }
  await client.fails(() => conn.query('select $1::int', ['x']))
  await client.fails(() => conn.query('select $1::int', []))
  client.say((await conn.query(`select * from ${table}`)).rows)
}

async function cancels(client) {
  const conn = await connect(client)
  await conn.query('begin')
  await conn.query('select 1')
  const slept = conn.query('select pg_sleep(20)')
  let over = false
  const watch = slept.then(() => (over = true), () => (over = true))
  while (!over) {
    await sleep(30)
    if (over) break
    // As pg's own `cancel` does it: a connection of its own, which the server closes.
    const canceller = new pg.Connection()
    canceller.on('error', () => {})
    const closed = new Promise((resolve) => canceller.on('end', resolve))
    canceller.on('connect', () => canceller.cancel(conn.processID, conn.secretKey))
    canceller.connect(conn.port, conn.host)
    await closed
  }
  await watch
  await client.fails(() => slept)
  client.say((await conn.query('rollback')).command)
  await conn.query("begin; set local statement_timeout = '30ms'")
  await client.fails(() => conn.query('select pg_sleep(20)'))
  client.say((await conn.query('rollback')).command, (await conn.query('show statement_timeout')).rows)
  await conn.end()
}

async function settings(client) {
  const look = "select current_setting('application_name') as name, current_setting('statement_timeout') as time, current_setting('work_mem') as memory"
  const config = { application_name: `me ${client.number}`, statement_timeout: 60_000 + client.number, options: '-c work_mem=1MB' }
  const conn = await connect(client, config)
  client.say((await conn.query(look)).rows)
  await client.rest()
  client.say((await conn.query(look, [])).rows)
  await conn.query("set work_mem = '3MB'")
  client.say((await conn.query(look)).rows)
  await conn.end()
  client.say((await client.conn.query(look)).rows)
}

/** The driver's own pool. */
async function pools(client) {
  const pool = new pg.Pool({ connectionString: client.url, max: 5 })
  pool.on('error', () => {})
  const work = async (number) => {
    const conn = await pool.connect()
    try {
      const sum = (await conn.query('select $1::int + 1 as sum', [number])).rows[0].sum
      await conn.query("begin; set local work_mem = '2MB'")
      const inside = (await conn.query('show work_mem')).rows[0].work_mem
      await conn.query(number % 2 ? 'commit' : 'rollback')
      return [sum, inside, (await conn.query('show work_mem')).rows[0].work_mem]
    } finally {
      conn.release()
    }
  }
  client.say(await Promise.all(Array.from({ length: 15 }, (_, number) => work(number))))
  client.say((await pool.query('select $1::text as a', ['b'])).rows)
  await pool.end()
}

async function large(client) {
  const size = 300_000 + client.number
  client.say((await client.conn.query('select length($1) + length($2) as sum', ['x'.repeat(size), 'y'.repeat(size)])).rows)
  client.say((await client.conn.query("select repeat('z', $1) as z", [size])).rows[0].z.length)
}

async function schema_change(client) {
  const { conn } = client
  const table = await fresh(client, 'schema_change')
  await conn.query(`insert into ${table} values (1, 'a')`)
  const look = () => conn.query({ name: `look ${table}`, text: `select * from ${table}` })
  for (let turn = 0; turn < 2; turn++) client.say((await look()).rows)
  await conn.query(`alter table ${table} add column later int default 7`)
  for (let turn = 0; turn < 2; turn++) await client.fails(async () => client.say((await look()).rows))
}

const SCENARIOS = [
  queries, values, transactions, pipelines, queued, cursors, streams, copies, notifications, notices, errors, cancels, settings,
  pools, large, schema_change,
]

async function live(client, rounds, scenarios) {
  client.conn = await connect(client)
  for (const scenario of client.order(scenarios, rounds)) {
    try {
      await scenario(client)
    } catch (error) {
      // The transcripts differ by it, if it is not what Postgres itself does.
      client.say('unexpected', failure(error))
      client.conn.connection.stream.destroy()
      client.conn = await connect(client)
    }
    await client.rest()
  }
  await client.conn.end()
}

const [url, seed, number, rounds, ...names] = process.argv.slice(2)
const without = names.filter((name) => name.startsWith('-')).map((name) => name.slice(1))
const only = names.filter((name) => !name.startsWith('-'))
const scenarios = SCENARIOS.filter(({ name }) => !without.includes(name) && (only.length === 0 || only.includes(name)))
const clients = Array.from({ length: Number(number) }, (_, each) => new Client(url, Number(seed), each))
await Promise.all(clients.map((client) => live(client, Number(rounds), scenarios)))
for (const client of clients) for (const line of client.lines) console.log(line)
