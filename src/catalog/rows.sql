-- All that a picture is made of, as of one moment: a letter for the kind of row, and up to seven
-- texts. Trees come as they are: to search them here takes the server thirty times as long.
--
-- Schemas: number, name.
SELECT 'n', oid::text, nspname::text, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text
  FROM pg_catalog.pg_namespace
UNION ALL
-- Functions: number, schema, name, marks, text, trees, types and steps. Procedures are left out,
-- and what only triggers call. Of the server's own only the marks matter.
SELECT 'f', p.oid::text, p.pronamespace::text, p.proname::text,
       pg_catalog.concat(p.prokind, p.provolatile, p.proparallel,
         CASE WHEN e.objid IS NULL THEN '-' ELSE 'e' END,
         CASE WHEN l.lanname = 'internal' AND p.prosrc IN ('range_constructor2', 'range_constructor3',
                     'multirange_constructor0', 'multirange_constructor1', 'multirange_constructor2') THEN 'r'
              WHEN l.lanname IN ('internal', 'c') THEN 'm'
              WHEN l.lanname = 'sql' THEN 's'
              WHEN l.lanname = 'plpgsql' THEN 'p'
              WHEN l.lanpltrusted THEN 't' ELSE 'u' END,
         CASE WHEN p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1
               AND (a.typtype IN ('c', 'p') OR a.typtype = 'd' AND a.typbasetype >= 16384)
              THEN 'c' ELSE '-' END),
       CASE WHEN p.oid >= 16384 AND p.provolatile <> 'v' AND p.prosqlbody IS NULL
             AND l.lanname NOT IN ('internal', 'c') THEN p.prosrc END,
       CASE WHEN p.oid >= 16384 AND p.provolatile <> 'v' THEN pg_catalog.concat(p.prosqlbody, ' ', p.proargdefaults) END,
       CASE WHEN p.oid >= 16384 THEN
         pg_catalog.concat_ws(' ', p.proargtypes, p.prorettype, pg_catalog.array_to_string(p.proallargtypes, ' '),
           '/', g.aggtransfn::oid, g.aggfinalfn::oid, g.aggcombinefn::oid, g.aggserialfn::oid,
           g.aggdeserialfn::oid, g.aggmtransfn::oid, g.aggminvtransfn::oid, g.aggmfinalfn::oid) END
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_catalog.pg_aggregate g ON g.aggfnoid = p.oid
  LEFT JOIN pg_catalog.pg_type a ON a.oid = p.proargtypes[0]
  LEFT JOIN pg_catalog.pg_depend e ON e.classid = 1255 AND e.objid = p.oid AND e.deptype = 'e'
 WHERE p.prokind <> 'p' AND p.prorettype NOT IN (2279, 3838)
UNION ALL
-- Relations and composite types: number, schema, name, marks, rowtype.
SELECT 'r', oid::text, relnamespace::text, relname::text, pg_catalog.concat(relkind, relpersistence),
       reltype::text, NULL, NULL
  FROM pg_catalog.pg_class
 WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
UNION ALL
-- Children of partitioned tables and of inheritance: parent, child.
SELECT 'i', i.inhparent::text, i.inhrelid::text, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
UNION ALL
-- Views: relation, tree.
SELECT 'd', w.ev_class::text, w.ev_action::text, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_rewrite w
  JOIN pg_catalog.pg_class c ON c.oid = w.ev_class AND c.relkind = 'v'
 WHERE w.ev_class >= 16384 AND w.ev_type = '1'
UNION ALL
-- Policies that rows must pass to be read: relation, tree.
SELECT 'd', y.polrelid::text, y.polqual::text, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_policy y
  JOIN pg_catalog.pg_class c ON c.oid = y.polrelid AND c.relrowsecurity
 WHERE y.polcmd IN ('r', '*')
UNION ALL
-- Operators: number, spelling, function, estimates. Some are only announced.
SELECT 'o', oid::text, oprname::text, oprcode::oid::text,
       pg_catalog.concat_ws(' ', oprrest::oid, oprjoin::oid), NULL, NULL, NULL
  FROM pg_catalog.pg_operator
 WHERE oprcode::oid <> 0
UNION ALL
-- Casts: source, target, function, marks. Binary ones run nothing.
SELECT 'c', castsource::text, casttarget::text, castfunc::text, castcontext::text, NULL, NULL, NULL
  FROM pg_catalog.pg_cast
 WHERE castmethod <> 'b'
UNION ALL
-- Types: number, name, functions, parts, checks, marks. Arrays of tables' rows are left out:
-- every table has one.
SELECT 't', t.oid::text, t.typname::text,
       pg_catalog.concat_ws(' ', t.typinput::oid, t.typoutput::oid, t.typreceive::oid, t.typsend::oid,
         t.typmodin::oid, t.typmodout::oid, r.rngcanonical::oid, r.rngsubdiff::oid),
       pg_catalog.concat_ws(' ', t.typelem, t.typbasetype, r.rngsubtype, m.rngtypid),
       CASE WHEN t.typtype = 'd' THEN
         (SELECT pg_catalog.string_agg(k.conbin::text, ' ')
                  FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid) END,
       CASE WHEN t.typtype = 'b' AND t.typcategory <> 'A' THEN 'b' ELSE '-' END, NULL
  FROM pg_catalog.pg_type t
  LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
  LEFT JOIN pg_catalog.pg_range m ON m.rngmultitypid = t.oid
  LEFT JOIN pg_catalog.pg_type l ON l.oid = t.typelem
  LEFT JOIN pg_catalog.pg_class c ON c.oid = l.typrelid AND c.relkind <> 'c'
 WHERE t.oid >= 16384 AND t.typtype IN ('b', 'd', 'r', 'm') AND c.oid IS NULL
   AND l.typtype IS DISTINCT FROM 'e'
UNION ALL
-- Columns of users' types: type, relations.
SELECT 'a', d.refobjid::text, pg_catalog.string_agg(DISTINCT d.objid::text, ' '), NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_depend d
  JOIN pg_catalog.pg_type t ON t.oid = d.refobjid AND t.typtype <> 'e'
 WHERE d.refclassid = 1247 AND d.refobjid >= 16384 AND d.classid = 1259 AND d.objsubid > 0
 GROUP BY d.refobjid
UNION ALL
-- What sorts and hashes values of users' types.
SELECT 'k', p.amproc::oid::text, NULL, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_amproc p
  JOIN pg_catalog.pg_opfamily f ON f.oid = p.amprocfamily AND f.opfmethod IN (403, 405)
 WHERE p.oid >= 16384
UNION ALL
SELECT 'k', o.oprcode::oid::text, NULL, NULL, NULL, NULL, NULL, NULL
  FROM pg_catalog.pg_amop p
  JOIN pg_catalog.pg_opfamily f ON f.oid = p.amopfamily AND f.opfmethod IN (403, 405)
  JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr
 WHERE p.oid >= 16384
