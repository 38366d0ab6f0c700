WITH sample (type, value) AS (VALUES
  ('bool', 'true'), ('int2', '1::int2'), ('int4', '1'), ('int8', '1::int8'), ('float4', '0.1::float4'), ('float8', '0.1::float8'),
  ('numeric', '1.5'), ('text', '''a''::text'), ('varchar', '''a''::varchar'), ('bpchar', '''a''::bpchar'), ('char', '''a''::"char"'),
  ('name', '''orders''::name'), ('bytea', '''a''::bytea'), ('date', 'date ''2026-01-01'''), ('time', 'time ''10:00'''),
  ('timetz', 'timetz ''10:00+00'''), ('timestamp', 'timestamp ''2026-01-01'''), ('timestamptz', 'timestamptz ''2026-01-01'''),
  ('interval', 'interval ''1 day'''), ('json', 'json ''{}'''), ('jsonb', 'jsonb ''{}'''), ('jsonpath', 'jsonpath ''$'''),
  ('uuid', 'uuid ''00000000-0000-0000-0000-000000000001'''), ('inet', 'inet ''10.0.0.1'''), ('cidr', 'cidr ''10.0.0.0/8'''),
  ('macaddr', 'macaddr ''08:00:2b:01:02:03'''), ('macaddr8', 'macaddr8 ''08:00:2b:01:02:03:04:05'''),
  ('point', 'point ''(1,2)'''), ('lseg', 'lseg ''((0,0),(1,1))'''), ('path', 'path ''((0,0),(1,1))'''), ('box', 'box ''((0,0),(1,1))'''),
  ('polygon', 'polygon ''((0,0),(1,1),(1,0))'''), ('line', 'line ''{1,2,3}'''), ('circle', 'circle ''((0,0),1)'''),
  ('bit', 'B''1'''), ('varbit', 'varbit ''1'''), ('money', 'money ''1'''), ('oid', '''orders''::regclass::oid'), ('regclass', '''orders''::regclass'),
  ('regproc', '''version''::regproc'), ('regprocedure', '''lower(text)''::regprocedure'), ('regtype', '''int4''::regtype'),
  ('regrole', '''postgres''::regrole'), ('regnamespace', '''public''::regnamespace'), ('regconfig', '''simple''::regconfig'),
  ('regdictionary', '''simple''::regdictionary'), ('tsvector', 'tsvector ''a:1'''), ('tsquery', 'tsquery ''a'''), ('xml', 'xml ''<a/>'''),
  ('xid', '''1''::xid'), ('xid8', '''1''::xid8'), ('cid', '''1''::cid'), ('tid', '''(0,1)''::tid'), ('pg_lsn', '''0/0''::pg_lsn'),
  ('int4range', 'int4range(1, 5)'), ('int8range', 'int8range(1, 5)'), ('numrange', 'numrange(1, 5)'), ('daterange', 'daterange(''2026-01-01'', NULL)'),
  ('tsrange', 'tsrange(NULL, NULL)'), ('tstzrange', 'tstzrange(NULL, NULL)'), ('int4multirange', '''{[1,3)}''::int4multirange'),
  ('anyelement', '1'), ('anyarray', 'ARRAY[1]'), ('anynonarray', '1'), ('anyenum', '''ok''::mood'), ('anyrange', 'int4range(1, 5)'),
  ('anymultirange', '''{[1,3)}''::int4multirange'), ('anycompatible', '1'), ('anycompatiblearray', 'ARRAY[1]'), ('any', '1'),
  ('_text', 'ARRAY[''a'']'), ('_int4', 'ARRAY[1]'), ('_int2', 'ARRAY[1]::int2[]'), ('_oid', 'ARRAY[1]::oid[]'), ('_float8', 'ARRAY[0.1]::float8[]'),
  ('_name', 'ARRAY[''a'']::name[]'), ('_regtype', 'ARRAY[''int4'']::regtype[]'), ('_bool', 'ARRAY[true]'),
  ('refcursor', '''c''::refcursor'), ('cstring', '''1'''), ('record', 'ROW(1)'), ('txid_snapshot', '''1:2:''::txid_snapshot'),
  ('pg_snapshot', '''1:2:''::pg_snapshot'), ('aclitem', '''postgres=r/postgres''::aclitem'), ('oidvector', '''1 2''::oidvector'), ('int2vector', '''1 2''::int2vector')
), calls AS (
  SELECT p.oid, p.prokind, p.proname, count(t.oid) AS known, p.pronargs,
    string_agg(CASE WHEN p.provariadic <> 0 AND a.n = p.pronargs AND t.typname LIKE '\_%' THEN 'VARIADIC ' ELSE '' END || s.value, ', ' ORDER BY a.n) AS args
  FROM pg_proc p
  LEFT JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY AS a (type, n) ON true
  LEFT JOIN pg_type t ON t.oid = a.type AND EXISTS (SELECT FROM sample WHERE sample.type = t.typname)
  LEFT JOIN sample s ON s.type = t.typname
  WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a', 'w')
    AND p.prorettype <> 'internal'::regtype AND p.prorettype <> 'trigger'::regtype AND p.prorettype <> 'event_trigger'::regtype
  GROUP BY p.oid, p.prokind, p.proname, p.pronargs
)
SELECT format('SELECT %I(%s)%s', proname, coalesce(args, CASE WHEN prokind = 'a' THEN '*' ELSE '' END),
  CASE prokind WHEN 'w' THEN ' OVER ()' ELSE '' END)
FROM calls WHERE known = pronargs ORDER BY proname, oid
