-- What tells one state of a catalog from another, in one text.
--
-- Count and sum of who wrote each row that a picture is made of; of functions the server's own
-- too, which a superuser may alter. Of relations it is what they are, for TRUNCATE, REFRESH and
-- CLUSTER write their rows as well; temporary ones come and go, and are left out. Triggers and
-- the defaults of columns decide nothing about what reads.
SELECT pg_catalog.concat_ws(' ',
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_proc),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_rewrite WHERE oid >= 16384),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_policy),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_operator WHERE oid >= 16384),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_cast WHERE oid >= 16384),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_amproc WHERE oid >= 16384),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_amop WHERE oid >= 16384),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_t'),
  -- Arrays and tables' rows go with their elements and tables.
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_type WHERE oid >= 16384 AND typtype IN ('b', 'd', 'r', 'm') AND typcategory <> 'A'),
  -- What came with an extension.
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(objid::pg_catalog.int8))
     FROM pg_catalog.pg_depend WHERE classid = 1255 AND deptype = 'e'),
  -- Checks of domains.
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
     FROM pg_catalog.pg_constraint WHERE contypid >= 16384),
  -- Columns of users' types.
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*),
       pg_catalog.sum(pg_catalog.hashoidextended(refobjid, objid::pg_catalog.int8)))
     FROM pg_catalog.pg_depend
    WHERE refclassid = 1247 AND refobjid >= 16384 AND classid = 1259 AND objsubid > 0),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*),
       pg_catalog.sum(pg_catalog.hashoidextended(inhparent, inhrelid::pg_catalog.int8)))
     FROM pg_catalog.pg_inherits),
  (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hash_record_extended(
       ROW(oid, relname, relnamespace, relkind, relpersistence, relrowsecurity), 0)))
     FROM pg_catalog.pg_class
    WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND relpersistence <> 't'))
