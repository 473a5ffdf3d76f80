"""What is asked of PostgreSQL's catalog. Names are bound, never written into a statement."""

EXTENSION = """
SELECT n.nspname AS schema, e.extversion AS version
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'
"""

# The search_path, and behind it the schema of pgvector, so that its types are found. Nothing where
# the path leads nowhere, or things would be created in that schema.
PATH_TO_VECTOR = """
SELECT current_setting('search_path') || ', ' || quote_ident(n.nspname)
FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector' AND current_schema() IS NOT NULL
"""

# Kinds: table, partitioned table, view, materialised view, foreign table.
TABLE = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       ARRAY(
           SELECT a.attname::text
           FROM pg_catalog.pg_index i
           CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
           JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
           WHERE i.indrelid = c.oid AND i.indisprimary
           ORDER BY k.place
       ) AS key
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT '"' || replace(n.nspname, '"', '""') || '"' AS schema,
           '"' || replace(c.relname, '"', '""') || '"' AS name
) quoted
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND ($1::text IN (n.nspname || '.' || c.relname, quoted.schema || '.' || quoted.name,
                    n.nspname || '.' || quoted.name, quoted.schema || '.' || c.relname)
       OR pg_catalog.pg_table_is_visible(c.oid) AND $1::text IN (c.relname, quoted.name))
ORDER BY pg_catalog.pg_table_is_visible(c.oid) DESC, c.relname = $1::text DESC
LIMIT 1
"""

# Whether the transaction has written nothing, so that all it sees will still be there after it.
UNCHANGED = "SELECT pg_catalog.txid_current_if_assigned() IS NULL"

COLUMNS = """
SELECT a.attname AS name,
       format('%I.%I', tn.nspname, t.typname) AS type,
       (WITH RECURSIVE base AS (
            SELECT t.oid, t.typbasetype AS below
            UNION ALL
            SELECT b.oid, b.typbasetype FROM base JOIN pg_catalog.pg_type b ON b.oid = base.below
        )
        SELECT format('%I.%I', bn.nspname, b.typname)
        FROM base
        JOIN pg_catalog.pg_type b ON b.oid = base.oid
        JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace
        WHERE base.below = 0) AS base_type,
       CASE WHEN s.oid IS NOT NULL THEN format('%I.%I', sn.nspname, s.proname) END AS send,
       t.typcategory = 'A' AS is_array,
       CASE WHEN e.oid IS NOT NULL THEN t.typname END AS vector_type,
       CASE WHEN e.oid IS NOT NULL AND a.atttypmod > 0 THEN a.atttypmod END AS dimension,
       pg_catalog.col_description(a.attrelid, a.attnum) AS comment
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_proc s ON s.oid = t.typsend
LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = s.pronamespace
LEFT JOIN pg_catalog.pg_extension e
    ON e.extname = 'vector' AND e.extnamespace = tn.oid
   AND t.typname IN ('vector', 'halfvec', 'sparsevec')
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

# The column of an index on an expression is what it depends on, where the expression is no more
# than a cast of it, such as e::halfvec(384); else it is the expression itself. The index of a
# partitioned table holds nothing itself; its partitions' are named where one of those is asked
# for, and where no index of the whole has them. Of another role's build, the server tells only who
# it is, and which tables it holds.
INDEXES = """
SELECT ic.relname AS name,
       tn.nspname AS schema,
       format('%I.%I', tn.nspname, tc.relname) AS table,
       CASE
           WHEN i.indkey[0] <> 0 OR pg_catalog.pg_get_indexdef(ic.oid, 1, false) = format(
               '((%I)::%s)', a.attname, pg_catalog.format_type(ia.atttypid, ia.atttypmod))
           THEN a.attname ELSE pg_catalog.pg_get_indexdef(ic.oid, 1, false)
       END AS column,
       am.amname AS method,
       CASE substring(oc.opcname FROM '_(.*)$')
           WHEN 'cosine_ops' THEN 'cosine' WHEN 'l2_ops' THEN 'euclidean'
           WHEN 'ip_ops' THEN 'inner_product' ELSE oc.opcname::text
       END AS metric,
       oc.opcname LIKE 'halfvec%' AND ct.typname = 'vector' AS half,
       i.indpred IS NOT NULL AS partial,
       ic.relkind = 'I' AS partitioned,
       ic.reloptions AS options,
       CASE
           WHEN i.indisvalid THEN 'valid'
           WHEN EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p
                        WHERE p.datname = pg_catalog.current_database() AND (
                            p.index_relid = ic.oid OR p.index_relid IS NULL AND EXISTS (
                                SELECT FROM pg_catalog.pg_locks l
                                WHERE l.pid = p.pid AND l.relation = tc.oid
                                  AND l.mode = 'ShareUpdateExclusiveLock'))) THEN 'building'
           ELSE 'invalid'
       END AS state,
       CASE WHEN ic.relkind = 'I'
           THEN (SELECT coalesce(sum(pg_catalog.pg_relation_size(relid)), 0)::bigint
                 FROM pg_catalog.pg_partition_tree(ic.oid))
           ELSE pg_catalog.pg_relation_size(ic.oid)
       END AS size_bytes,
       pg_catalog.pg_get_indexdef(ic.oid) AS definition
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = ic.relam AND am.amname IN ('hnsw', 'ivfflat')
JOIN pg_catalog.pg_opclass oc ON oc.oid = i.indclass[0]
JOIN pg_catalog.pg_class tc ON tc.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = tc.oid AND a.attnum = coalesce(
    nullif(i.indkey[0], 0),
    (SELECT min(d.refobjsubid) FROM pg_catalog.pg_depend d
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = ic.oid
       AND d.refobjid = tc.oid AND d.refobjsubid > 0))
JOIN pg_catalog.pg_type ct ON ct.oid = a.atttypid
JOIN pg_catalog.pg_attribute ia ON ia.attrelid = ic.oid AND ia.attnum = 1
WHERE CASE WHEN $1::oid IS NULL THEN NOT ic.relispartition ELSE i.indrelid = $1 END
ORDER BY tn.nspname, ic.relname
"""

# The index of a whole partitioned table that a partition's is part of.
WHOLE_INDEX = """
SELECT whole.relname
FROM pg_catalog.pg_class part
JOIN pg_catalog.pg_namespace n ON n.oid = part.relnamespace
JOIN pg_catalog.pg_class whole ON whole.oid = pg_catalog.pg_partition_root(part.oid)
WHERE part.relkind IN ('i', 'I') AND part.relispartition
  AND $1::text IN (part.relname, n.nspname || '.' || part.relname)
LIMIT 1
"""

# The tables that hold a partitioned table's rows, at whatever depth.
PARTITIONS = """
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_partition_tree($1::oid) p
JOIN pg_catalog.pg_class c ON c.oid = p.relid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.isleaf AND p.relid <> $1
ORDER BY 1
"""

VECTOR_TABLES = """
SELECT DISTINCT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typname IN ('vector', 'halfvec')
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY 1
LIMIT 20
"""

# Which of the named extensions, tables, indexes and columns are not there, tables and what is on
# them looked for where CREATE TABLE would make them.
LACKING = """
SELECT DISTINCT wanted.place
FROM unnest($1::int[], $2::text[], $3::text[]) AS wanted(place, name, column_name)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = wanted.name)
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = current_schema() AND c.relname = wanted.name
        AND (wanted.column_name IS NULL OR EXISTS (
            SELECT FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = wanted.column_name AND NOT a.attisdropped)))
ORDER BY 1
"""
