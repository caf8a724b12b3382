//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const storagePort = 7000

// hintsFlush is the longest time that hints stay in memory only.
const hintsFlush = 500 * time.Millisecond

// token returns a node's position on the ring. The nodes of a data centre are spread evenly.
// Data centres share the ring, so their tokens differ.
func token(node, nodes, dataCenter int) int64 {
	return math.MinInt64 + int64(uint64(node)*(math.MaxUint64/uint64(nodes))) + int64(100*dataCenter)
}

const yamlText = `cluster_name: backstay
num_tokens: 1
initial_token: %d
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: GossipingPropertyFileSnitch
listen_address: %[2]s
rpc_address: %[2]s
native_transport_port: %[3]d
storage_port: %[4]d
auto_bootstrap: false
data_file_directories: [%[5]s/data]
commitlog_directory: %[5]s/commitlog
saved_caches_directory: %[5]s/saved_caches
hints_directory: %[5]s/hints
cdc_raw_directory: %[5]s/cdc_raw
commitlog_sync: periodic
commitlog_sync_period: 10000ms
commitlog_segment_size: 8MiB
auto_snapshot: false
paxos_variant: v2
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_size: 32MiB
phi_convict_threshold: 5
hints_flush_period: %[7]dms
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: %[6]s
`

const logbackText = `<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %date{ISO8601} %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
`

// lay writes a node's settings.
func (n *Node) lay(cfg Config, seed string) error {
	conf := filepath.Join(n.dir, "conf")
	for _, dir := range []string{conf, n.disk(), filepath.Join(n.dir, "tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	yaml := fmt.Sprintf(yamlText, token(n.index%cfg.Nodes, cfg.Nodes, n.index/cfg.Nodes), n.host, Port, storagePort, n.disk(), seed, hintsFlush.Milliseconds()) + cfg.Yaml
	var errs []error
	for name, text := range map[string]string{
		"cassandra.yaml":              yaml,
		"cassandra-rackdc.properties": "dc=" + n.dc + "\nrack=r1\n",
		"logback.xml":                 logbackText,
	} {
		errs = append(errs, os.WriteFile(filepath.Join(conf, name), []byte(text), 0o644))
	}
	return errors.Join(errs...)
}

var exports = strings.Fields(`java.base/jdk.internal.misc java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry
	java.rmi/sun.rmi.server java.sql/java.sql java.base/java.lang.ref java.base/sun.nio.ch jdk.unsupported/sun.misc
	jdk.compiler/com.sun.tools.javac.file jdk.attach/sun.tools.attach`)

var opens = strings.Fields(`java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect
	java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar java.base/sun.nio.ch java.base/java.io
	java.base/java.lang.reflect java.base/java.lang java.base/java.util java.base/java.nio jdk.management/com.sun.management.internal
	jdk.compiler/com.sun.tools.javac`)

// args returns a node's command line.
func (n *Node) args(cfg Config, jars string) []string {
	heap := strconv.Itoa(cfg.HeapMB)
	conf := filepath.Join(n.dir, "conf")
	args := []string{
		// Nodes of a test run for minutes on few cores. With only the first compiler and a
		// single-threaded collector, the cores are left to the nodes' work. With the defaults
		// a node that has just started is slow for a minute, and slows the others down.
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Xms" + heap + "m", "-Xmx" + heap + "m", "-Xss512k",
		"-javaagent:" + filepath.Join(jars, "jamm-0.4.0.jar"),
		"-Dcassandra.config=file://" + filepath.Join(conf, "cassandra.yaml"),
		"-XX:+PerfDisableSharedMem", "-Djava.io.tmpdir=" + filepath.Join(n.dir, "tmp"),
		"-Dcassandra.storagedir=" + n.disk(), "-Dcassandra.logdir=" + filepath.Join(n.dir, "logs"),
		"-Dlogback.configurationFile=file://" + filepath.Join(conf, "logback.xml"),
		"-Dcassandra-foreground=yes", "-Dcassandra.jmx.local.port=" + strconv.Itoa(n.jmx),
		"-Dcassandra.ring_delay_ms=5000", "-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra.fd_initial_value_ms=500", "-Dcassandra.skip_wait_for_gossip_to_settle=0",
		"-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true",
	}
	// Cassandra 5.0.6 reads the default of this bound in a wrong unit. Without this setting it
	// would count the time of an outage as a usual silence, and would notice each outage later
	// than the one before.
	args = append(args, "-Dcassandra.fd_max_interval_ms=2000")
	if cfg.DiskMB > 0 {
		// The disk guardrails look at the disk every 0.5 s instead of every 30 s.
		args = append(args, "-Dcassandra.disk_usage.monitor_interval_ms=500")
	}
	return append(append(args, modules()...), "-cp", conf+":"+filepath.Join(jars, "*"), "org.apache.cassandra.service.CassandraDaemon")
}

// modules lists the options that open the parts of Java 17 which Cassandra needs and which are
// closed by default.
func modules() []string {
	var args []string
	for _, e := range exports {
		args = append(args, "--add-exports", e+"=ALL-UNNAMED")
	}
	for _, o := range opens {
		args = append(args, "--add-opens", o+"=ALL-UNNAMED")
	}
	return args
}
