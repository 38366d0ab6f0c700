-- Something of everything that may stand between a statement and a replica.
CREATE SCHEMA app;
SET search_path = app, public;
SET check_function_bodies = off;

CREATE TABLE t (n int, label text);
CREATE SEQUENCE s;
CREATE UNLOGGED TABLE scratch (n int);
CREATE MATERIALIZED VIEW m AS SELECT nextval('s') AS n;
CREATE TYPE mood AS ENUM ('ok', 'sad');

-- Functions, by label and by what they run.
CREATE FUNCTION plain(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION modern(n int) RETURNS int STABLE LANGUAGE sql RETURN app.plain(n) + length(current_setting('app.tenant', true));
CREATE FUNCTION reads() RETURNS bigint STABLE LANGUAGE plpgsql AS
  $$ DECLARE c bigint; BEGIN SELECT count(*) INTO c FROM t WHERE label ILIKE '%nextval(%'; RETURN c; END $$;
CREATE FUNCTION tenant() RETURNS text STABLE LANGUAGE sql AS $$ SELECT current_setting('app.tenant', true) $$;
CREATE FUNCTION says_volatile() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION counts() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN nextval('app.s'); END $$;
CREATE FUNCTION counts_modern() RETURNS bigint STABLE LANGUAGE sql RETURN nextval('app.s');
CREATE FUNCTION locks() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(1); RETURN 1; END $$;
CREATE FUNCTION dynamic(q text) RETURNS int STABLE LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN EXECUTE q INTO n; RETURN n; END $$;
CREATE FUNCTION asks() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT app.counts()';
CREATE FUNCTION asks_more() RETURNS bigint STABLE LANGUAGE sql RETURN app.asks();
CREATE FUNCTION by_default(n bigint DEFAULT nextval('app.s')) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT n';
CREATE FUNCTION of_the_system() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM pg_stat_activity';
CREATE FUNCTION of_the_system_modern() RETURNS bigint STABLE LANGUAGE sql RETURN (SELECT count(*) FROM pg_catalog.pg_class);
CREATE FUNCTION of_the_scratch() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM scratch';
CREATE FUNCTION cursor_of() RETURNS refcursor STABLE LANGUAGE plpgsql AS
  $$ DECLARE c refcursor; BEGIN OPEN c FOR SELECT 1; RETURN c; END $$;
CREATE FUNCTION overloaded(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION overloaded(n text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION public.now() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION upper(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE PROCEDURE does() LANGUAGE sql AS 'INSERT INTO app.t VALUES (1)';

-- Aggregates say that they are immutable whatever they run.
CREATE FUNCTION step(a bigint, b int) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT $1 + $2';
CREATE FUNCTION bad_step(a bigint, b int) RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('app.s') $$;
CREATE AGGREGATE total(int) (SFUNC = step, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE bad_total(int) (SFUNC = bad_step, STYPE = bigint, INITCOND = '0');

-- Operators, types, casts, column notation.
CREATE FUNCTION bad_plus(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION volatile_mood(a mood, b int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION volatile_number(a mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = bad_plus);
CREATE OPERATOR <-> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE FUNCTION bad_check(n int) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE DOMAIN checked AS int CHECK (app.bad_check(value));
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN of_checked AS checked;
CREATE TYPE has_checked AS (n checked[]);
CREATE TYPE pair AS (a positive, b mood);
CREATE TYPE cast_target AS (n int);
CREATE FUNCTION bad_cast(p pair) RETURNS cast_target LANGUAGE sql AS 'SELECT ROW(1)::app.cast_target';
CREATE CAST (pair AS cast_target) WITH FUNCTION bad_cast(pair);
CREATE TYPE span AS RANGE (subtype = int);
CREATE FUNCTION bad_far(a numeric, b numeric) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN nextval('app.s'); END $$;
CREATE TYPE bad_span AS RANGE (subtype = numeric, subtype_diff = bad_far);
CREATE TABLE t_checked (n checked);
CREATE FUNCTION takes_checked(n checked) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION volatile_label(o t) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;

-- Views, and views over them.
CREATE VIEW v_plain AS SELECT n FROM t WHERE app.plain(n) > 0;
CREATE VIEW v_over_plain AS SELECT count(*) AS n FROM v_plain;
CREATE VIEW v_setting AS SELECT n FROM t WHERE label = current_setting('app.tenant');
CREATE VIEW v_setting_of_server AS SELECT n FROM t WHERE label = current_setting('port');
CREATE VIEW v_sleeps AS SELECT n, random() AS r FROM t TABLESAMPLE bernoulli (10) WHERE clock_timestamp() > '2000-01-01';
CREATE VIEW v_calls AS SELECT app.asks() AS n;
CREATE VIEW v_over_calls AS SELECT * FROM (SELECT * FROM v_calls) AS inside;
CREATE VIEW v_counts AS SELECT nextval('s') AS n;
CREATE VIEW v_operator AS SELECT n <+> 1 AS n FROM t;
CREATE VIEW v_domain AS SELECT n::checked AS n FROM t;
CREATE VIEW v_activity AS SELECT * FROM pg_stat_activity;
CREATE VIEW v_class AS SELECT relname FROM pg_class;
CREATE VIEW v_locks AS SELECT n FROM t FOR SHARE;
CREATE VIEW v_unlogged AS SELECT n FROM scratch;
CREATE VIEW v_sequence AS SELECT last_value FROM s;
CREATE VIEW v_aggregate AS SELECT bad_total(n) AS n FROM t;
CREATE VIEW v_column AS SELECT o.volatile_label AS n FROM t AS o;

-- Policies count where they are on, for who reads.
CREATE TABLE guarded (n int, tenant text);
CREATE POLICY p ON guarded USING (tenant = current_setting('app.tenant'));
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE TABLE guarded_badly (n int);
CREATE POLICY p ON guarded_badly FOR SELECT USING (n = app.counts());
ALTER TABLE guarded_badly ENABLE ROW LEVEL SECURITY;
CREATE TABLE guarded_by_system (n int);
CREATE POLICY p ON guarded_by_system USING (EXISTS (SELECT FROM pg_stat_activity WHERE pid = n));
ALTER TABLE guarded_by_system ENABLE ROW LEVEL SECURITY;
CREATE TABLE guard_off (n int);
CREATE POLICY p ON guard_off USING (n = app.counts());
CREATE TABLE guard_of_writes (n int);
CREATE POLICY p ON guard_of_writes FOR INSERT WITH CHECK (n = app.counts());
CREATE POLICY q ON guard_of_writes FOR SELECT USING (n > 0);
ALTER TABLE guard_of_writes ENABLE ROW LEVEL SECURITY;

-- Where relations live.
CREATE TABLE parted (n int) PARTITION BY RANGE (n);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_scratch (n int) PARTITION BY RANGE (n);
CREATE UNLOGGED TABLE parted_scratch_1 PARTITION OF parted_scratch FOR VALUES FROM (0) TO (10);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE remote (n int, label text) SERVER elsewhere;
CREATE TABLE parent_of_remote (n int);
CREATE FOREIGN TABLE remote_child () INHERITS (parent_of_remote) SERVER elsewhere;
