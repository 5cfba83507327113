"""With duckdb: one statement that reads, checks, samples, orders at random and writes."""

import sys

import duckdb

primary, replay, out = sys.argv[1:]
database = duckdb.connect()
database.execute("SELECT setseed(0.1)")
SOUND = """
    len(list_filter(messages, lambda m: m.role NOT IN ('system', 'user', 'assistant', 'tool')
        OR trim(m.content) = '')) = 0
    AND len(list_filter(messages, lambda m: m.role = 'assistant')) > 0
"""
for name, path in (("ours", primary), ("theirs", replay)):
    database.execute(f"CREATE TABLE {name} AS SELECT * FROM read_json_auto('{path}')")
    bad = database.execute(f"SELECT count(*) FROM {name} WHERE NOT ({SOUND})").fetchone()
    assert bad == (0,)
count = database.execute("SELECT count(*) FROM ours").fetchone()[0]
drawn = round(count * 0.15 / 0.85)
database.execute(f"""
    COPY (SELECT * FROM (SELECT * FROM ours UNION ALL
          (SELECT * FROM theirs ORDER BY random() LIMIT {drawn})) ORDER BY random())
    TO '{out}' (FORMAT json)
""")
