"""What a program does with the DataStax driver, through whatever stands at HOST PORT.

Prints the addresses that the driver found with each version and compression, as JSON.
An assertion that fails ends it.
"""
import json
import sys

from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster, ExecutionProfile, EXEC_PROFILE_DEFAULT
from cassandra.policies import RoundRobinPolicy, TokenAwarePolicy
from cassandra.query import BatchStatement

host, port, keyspace, table = sys.argv[1:]


def work(session):
    """Statements of each sort."""
    insert = session.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    for future in [session.execute_async(insert, (i, "long " * (1 + i * 2000))) for i in range(25)]:
        future.result()
    select = session.prepare(f"SELECT id, v FROM {table} WHERE id < 25 ALLOW FILTERING")
    select.fetch_size = 7
    rows = {row.id: row.v for row in session.execute(select)}
    assert rows == {i: "long " * (1 + i * 2000) for i in range(25)}, len(rows)
    for future in [session.execute_async(insert, (100 + i, "x")) for i in range(200)]:
        future.result()
    batch = BatchStatement()
    batch.add(insert, (50, "batch"))
    batch.add(f"DELETE FROM {table} WHERE id = 100")
    session.execute(batch)
    assert session.execute(f"SELECT v FROM {table} WHERE id = 50").one().v == "batch"
    assert session.execute(f"SELECT v FROM {table} WHERE id = 100").one() is None
    lwt = session.execute(f"INSERT INTO {table} (id, v) VALUES (50, 'no') IF NOT EXISTS")
    assert not lwt.was_applied and lwt.one().v == "batch"
    assert session.execute(f"SELECT id FROM {table} WHERE id = 50", trace=True).one().id == 50


found = []
created = False
for version in (3, 4, 5):
    for compression in (False, "lz4"):
        cluster = Cluster(
            [host], port=int(port), protocol_version=version, compression=compression,
            connect_timeout=60, control_connection_timeout=60,
            execution_profiles={EXEC_PROFILE_DEFAULT: ExecutionProfile(
                TokenAwarePolicy(RoundRobinPolicy()), consistency_level=ConsistencyLevel.QUORUM, request_timeout=60)})
        cluster.max_schema_agreement_wait = 60
        session = cluster.connect(keyspace)
        assert cluster.protocol_version == version, cluster.protocol_version
        if version < 5:
            for pool in session.get_pools():
                for connection in pool.get_connections():
                    assert bool(connection.compressor) == bool(compression), connection.compressor
        if not created:
            session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v text)")
            created = True
        work(session)
        assert cluster.metadata.token_map is not None
        found.append(sorted(f"{h.endpoint.address}:{h.endpoint.port}" for h in cluster.metadata.all_hosts()))
        cluster.shutdown()
print(json.dumps(found))
