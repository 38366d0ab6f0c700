//! Statements by the thousand, made from templates by dice with a fixed seed: reads of every shape,
//! and the same with something in them that is none.
//! Never knows what is judged of them.

use fastrand::Rng;

/// So many, the same ones every time.
pub fn generated(number: usize, seed: u64) -> Vec<String> {
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        hook: None,
    };
    (0..number).map(|_| maker.statement()).collect()
}

/// A table, its columns of integers and of text.
struct Table(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const TABLES: &[Table] = &[
    Table("orders", &["id", "customer_id"], &["status", "note"]),
    Table("customers", &["id"], &["name", "email", "country"]),
    Table("products", &["id", "parent_id"], &["name"]),
    Table(
        "order_items",
        &["order_id", "line", "product_id", "quantity"],
        &[],
    ),
    Table("employees", &["id", "manager_id"], &["name", "department"]),
    Table("sales.regions", &["id", "parent_id"], &["name"]),
    Table("public.orders", &["id", "customer_id"], &["status", "note"]),
    Table("log_lines", &["id"], &["line"]),
    Table("animals", &["id"], &["name"]),
    Table("v_orders", &["id"], &["status", "note"]),
    Table("v_nested", &["id"], &["status"]),
    Table("m_totals", &["customer_id"], &[]),
    Table(
        "\"Mixed Case\"",
        &["\"Column A\""],
        &["\"select\"", "\"from\""],
    ),
    Table("pgbench_branches", &["bid", "bbalance"], &["filler"]),
];

/// Expressions of an integer that are none of a read's.
const INTEGERS: &[&str] = &[
    "nextval('order_seq')",
    "pg_catalog.nextval('order_seq')",
    "\"nextval\"('order_seq')",
    "setval('order_seq', 9)",
    "f_volatile(1)",
    "public.f_volatile(2)",
    "f_over('x'::text)",
    "f_default()",
    "f_harmless(1)",
    "pg_advisory_lock(7)",
    "pg_try_advisory_lock(8)::int",
    "pg_advisory_xact_lock(9)",
    "length(set_config('app.tenant', 'x', false))",
    "txid_current()",
    "lo_creat(-1)",
    "pg_backend_pid()",
    "inet_server_port()",
    "pg_is_in_recovery()::int",
    "(1 @!@ 2)",
    "(5::d_volatile)",
    "ascii('x')",
    "agg_volatile(1)",
    "length(query_to_xml('select nextval(''order_seq'')', true, false, '')::text)",
    "(SELECT count(*) FROM pg_stat_activity)",
    "(SELECT x FROM v_volatile)",
    "(SELECT max(id) FROM scratch)",
    "(SELECT id FROM orders LIMIT 1 FOR UPDATE)",
    "(SELECT x FROM v_sequence)",
    "no_such_function(1)",
];

/// What may stand in FROM, and is no read of a plain table.
const SOURCES: &[&str] = &[
    "scratch",
    "half_logged",
    "remote_orders",
    "v_volatile",
    "v_over_volatile",
    "v_lock",
    "v_domain",
    "v_unlogged",
    "pg_locks",
    "pg_catalog.pg_class",
    "information_schema.tables",
    "order_seq",
    "no_such_table",
    "nextval('order_seq')",
    "f_rows_volatile(1)",
    "dblink('dbname=x', 'select 1')",
    "(SELECT 1 FROM orders FOR SHARE)",
];

/// What stands before or behind a query and makes it something else.
const AROUND: &[(&str, &str)] = &[
    (
        "WITH w AS (DELETE FROM order_items WHERE false RETURNING 1) ",
        "",
    ),
    (
        "WITH w AS (INSERT INTO animals VALUES (9) RETURNING 1) ",
        "",
    ),
    ("", " FOR UPDATE"),
    ("", " FOR KEY SHARE NOWAIT"),
    ("DECLARE c CURSOR WITH HOLD FOR ", ""),
    ("CREATE TEMP TABLE t_temp AS ", ""),
    ("CREATE TABLE t_new AS ", ""),
    ("INSERT INTO animals (id) SELECT 1 FROM (", ") x"),
    ("PREPARE p AS ", ""),
    ("EXPLAIN ANALYZE CREATE TABLE t_new AS ", ""),
    ("COPY (", ") TO PROGRAM 'cat > /dev/null'"),
    ("COPY (", ") TO '/no/such/folder/file'"),
    ("", "; DELETE FROM order_items WHERE false"),
    ("", "; SET work_mem = '1MB'"),
    ("SELECT 1; ", "; SELECT nextval('order_seq')"),
    ("BEGIN; ", "; COMMIT"),
];

struct Maker {
    rng: Rng,
    /// What is to be put in at the next place that takes an integer.
    hook: Option<&'static str>,
}

impl Maker {
    /// Two of three are reads.
    fn statement(&mut self) -> String {
        let text = match self.rng.u8(..12) {
            0 | 1 => {
                self.hook = Some(self.pick(INTEGERS));
                self.query(2)
            }
            2 => {
                let source = self.pick(SOURCES);
                format!("SELECT {} FROM {source} AS s", self.integer(1, &[]))
            }
            3 => {
                let (before, after) = self.pick(AROUND);
                format!("{before}{}{after}", self.select(1, 1))
            }
            _ => self.query(3),
        };
        self.hook = None;
        self.noise(&text)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())]
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn query(&mut self, depth: u32) -> String {
        let width = self.rng.usize(1..4);
        match self.rng.u8(..14) {
            0 => format!(
                "WITH a AS ({}), b AS ({}) SELECT * FROM a, b LIMIT {}",
                self.select(depth, 1),
                self.select(depth, 1),
                self.rng.u8(..9)
            ),
            1 => format!(
                "WITH RECURSIVE r (n) AS (SELECT {} UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT {} FROM r",
                self.integer(1, &[]),
                self.integer(depth, &["n"])
            ),
            2 | 3 => {
                let word = self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT ALL"]);
                format!(
                    "({}) {word} ({}) ORDER BY 1",
                    self.select(depth, width),
                    self.select(depth, width)
                )
            }
            4 => format!(
                "VALUES ({}, {}), (1, 'x')",
                self.integer(depth, &[]),
                self.text(depth, &[])
            ),
            5 => format!("EXPLAIN (COSTS off) {}", self.select(depth, width)),
            6 => format!("COPY ({}) TO STDOUT", self.select(depth, width)),
            7 => format!("{}; {}", self.select(1, 1), self.select(1, 1)),
            8 => self.grouped(depth),
            9 => self.windowed(depth),
            _ => self.select(depth, width),
        }
    }

    /// So many columns, integers all.
    fn select(&mut self, depth: u32, width: usize) -> String {
        let one = &TABLES[self.rng.usize(..TABLES.len())];
        let (ints, texts) = (columns("t", one.1), columns("t", one.2));
        let (ints, texts): (Vec<&str>, Vec<&str>) = (refs(&ints), refs(&texts));
        let list: Vec<String> = (0..width).map(|_| self.integer(depth, &ints)).collect();
        let mut text = format!("SELECT {}", list.join(", "));
        if self.chance(15) {
            text = text.replacen("SELECT", "SELECT DISTINCT", 1);
        }
        text += &format!(" FROM {} t", one.0);
        if depth > 1 && self.chance(35) {
            text += &self.join(depth, &ints);
        }
        if self.chance(60) {
            text += &format!(" WHERE {}", self.condition(depth, &ints, &texts));
        }
        if self.chance(40) {
            text += &format!(" ORDER BY {}", self.pick(&["1", "1 DESC", "1 NULLS FIRST"]));
            if self.chance(50) {
                text += self.pick(&[" LIMIT 5", " LIMIT 3 OFFSET 1", " FETCH FIRST 2 ROWS ONLY"]);
            }
        }
        text
    }

    fn join(&mut self, depth: u32, ints: &[&str]) -> String {
        let other = &TABLES[self.rng.usize(..TABLES.len())];
        let theirs = columns("u", other.1);
        let theirs = refs(&theirs);
        let on = format!("{} = {}", self.pick(ints), self.pick(&theirs));
        match self.rng.u8(..5) {
            0 => format!(" LEFT JOIN {} u ON {on}", other.0),
            1 => format!(
                " JOIN {} AS u ON {on} AND {}",
                other.0,
                self.condition(1, &theirs, &[])
            ),
            2 => format!(
                ", LATERAL (SELECT {} AS x FROM {} u WHERE {on} LIMIT 2) l",
                self.integer(depth - 1, &theirs),
                other.0
            ),
            3 => format!(
                " CROSS JOIN (SELECT {} AS y) d",
                self.integer(depth - 1, &[])
            ),
            _ => " CROSS JOIN generate_series(1, 2) AS g (n)".to_owned(),
        }
    }

    fn grouped(&mut self, depth: u32) -> String {
        let filter = self.condition(1, &["id"], &["status"]);
        let group = self.pick(&[
            "status",
            "ROLLUP (status)",
            "CUBE (status, customer_id)",
            "GROUPING SETS ((status), ())",
        ]);
        let aggregate = self.pick(&[
            "sum",
            "avg",
            "min",
            "max",
            "count",
            "array_agg",
            "stddev",
            "agg_plain",
        ]);
        let argument = format!("({})::int", self.integer(depth - 1, &["id"]));
        format!(
            "SELECT status, {aggregate}({argument}), count(*) FILTER (WHERE {filter}) FROM orders GROUP BY {group} HAVING count(*) > {}",
            self.rng.u8(..3)
        )
    }

    fn windowed(&mut self, depth: u32) -> String {
        let function = self.pick(&[
            "row_number()",
            "rank()",
            "sum(id)",
            "lag(id)",
            "first_value(note)",
            "ntile(2)",
        ]);
        let order = self.integer(depth - 1, &["id"]);
        format!("SELECT {function} OVER (PARTITION BY status ORDER BY {order}) FROM orders")
    }

    fn integer(&mut self, depth: u32, columns: &[&str]) -> String {
        if self.hook.is_some() && (depth == 0 || self.chance(40)) {
            return self.hook.take().unwrap_or_default().to_owned();
        }
        if depth == 0 || self.chance(25) {
            return match columns.is_empty() || self.chance(30) {
                true => self.rng.u8(1..99).to_string(),
                false => self.pick(columns).to_owned(),
            };
        }
        let one = self.integer(depth - 1, columns);
        match self.rng.u8(..16) {
            0 => format!("{one} + {}", self.integer(depth - 1, columns)),
            1 => format!("({one} * 2 - 1)"),
            2 => format!("abs(({one})::int)"),
            3 => format!("coalesce({one}, 0)"),
            4 => format!("greatest({one}, {})", self.integer(depth - 1, columns)),
            5 => format!(
                "CASE WHEN {one} > 3 THEN 1 ELSE {} END",
                self.integer(depth - 1, columns)
            ),
            6 => format!("length({})", self.text(depth - 1, &[])),
            7 => format!("CAST({one} AS bigint)"),
            8 => format!("({one})::int"),
            9 => format!("nullif({one}, 5)"),
            10 => format!("(SELECT {one})"),
            11 => format!("(ARRAY[{one}, 2])[1]"),
            12 => format!("extract(day FROM make_interval(days => ({one})::int))"),
            13 => format!("mod(({one})::int, 7)"),
            14 => format!("f_immutable(({one})::int)"),
            _ => format!("(SELECT max({one}) FROM (VALUES (1)) v (q))"),
        }
    }

    fn text(&mut self, depth: u32, columns: &[&str]) -> String {
        if depth == 0 || self.chance(30) {
            return match columns.is_empty() || self.chance(50) {
                true => self
                    .pick(&[
                        "'x'",
                        "'it''s'",
                        "E'a\\\\b'",
                        "$$FOR$$",
                        "$q$;$q$",
                        "'nextval('",
                        "N'n'",
                    ])
                    .to_owned(),
                false => self.pick(columns).to_owned(),
            };
        }
        let one = self.text(depth - 1, columns);
        match self.rng.u8(..8) {
            0 => format!("lower({one})"),
            1 => format!("{one} || {}", self.text(depth - 1, columns)),
            2 => format!("substring({one} FROM 1 FOR 2)"),
            3 => format!("coalesce({one}, 'none')"),
            4 => format!("replace({one}, 'a', 'b')"),
            5 => format!("concat({one}, {})", self.integer(depth - 1, &[])),
            6 => format!("trim(BOTH FROM {one})"),
            _ => format!("({one})::varchar(10)"),
        }
    }

    fn condition(&mut self, depth: u32, ints: &[&str], texts: &[&str]) -> String {
        let below = depth.saturating_sub(1);
        let one = self.integer(below, ints);
        match self.rng.u8(..13) {
            0 => format!("{one} IN (1, 2, {})", self.integer(below, ints)),
            1 => format!("{one} BETWEEN 1 AND {}", self.integer(below, ints)),
            2 => format!("{one} IS NOT DISTINCT FROM {}", self.integer(below, ints)),
            3 => format!("NOT ({one} > 5) OR {one} IS NULL"),
            4 => format!("EXISTS (SELECT FROM customers c WHERE c.id = {one})"),
            5 => format!("{one} = ANY (ARRAY[1, 2])"),
            6 => format!("{one} IN (SELECT id FROM employees)"),
            7 if !texts.is_empty() => format!("{} LIKE '%a%'", self.text(below, texts)),
            8 if !texts.is_empty() => format!("{} ~* 'o'", self.text(below, texts)),
            9 if !texts.is_empty() => {
                format!("{} IS NOT NULL AND {one} < 50", self.text(below, texts))
            }
            10 => format!("({one}, 1) < (5, 2)"),
            11 => format!("{one} <> 4 AND {}", self.condition(below, ints, texts)),
            _ => format!("{one} >= 2"),
        }
    }

    /// The same, in another spelling: other spaces, comments, other cases outside quotes.
    fn noise(&mut self, text: &str) -> String {
        if self.chance(60) {
            return text.to_owned();
        }
        let mut noisy = String::new();
        let mut quote = None;
        for letter in text.chars() {
            match quote {
                Some(end) if letter == end => quote = None,
                None if matches!(letter, '\'' | '"' | '$') => quote = Some(letter),
                _ => {}
            }
            match letter {
                ' ' if quote.is_none() && self.chance(15) => {
                    noisy += self.pick(&["  ", "\n", "\t", "/**/", " /* ; */ ", " -- '\n"]);
                }
                _ if quote.is_none() && self.chance(20) => noisy.extend(letter.to_uppercase()),
                _ => noisy.push(letter),
            }
        }
        noisy
    }
}

fn columns(table: &str, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{table}.{name}")).collect()
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
