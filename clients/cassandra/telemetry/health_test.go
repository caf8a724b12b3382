package telemetry_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/backstay-go/backstay/clients/cassandra"
)

// TestWhatNodesSayIsMeasured: each part of what a node says of itself is a metric.
func TestWhatNodesSayIsMeasured(t *testing.T) {
	r := newRig(t, 0)
	r.Report([]cassandra.NodeHealth{{
		Address:           "10.0.0.1:9042",
		DiskBytes:         map[string]int64{"licenses": 7},
		LargestPartitions: map[string]int64{"licenses.events": 5},
		ThreadPools:       []cassandra.ThreadPool{{Name: "MutationStage", Active: 1, Pending: 2, Blocked: 3}},
		Hints:             []cassandra.PendingHints{{For: "10.0.0.2", Files: 4, Oldest: time.Now()}, {For: "10.0.0.3", Files: 2}},
		Guardrails:        map[string]float64{"data_disk_usage_percentage_fail_threshold": 90},
	}})
	for _, c := range []struct {
		metric string
		says   []string
		want   float64
	}{
		{"disk.usage", []string{"licenses"}, 7},
		{"partition.largest", []string{"licenses", "events"}, 5},
		{"thread_pool.tasks", []string{"MutationStage", "pending"}, 2},
		{"thread_pool.tasks", []string{"MutationStage", "blocked"}, 3},
		{"hints", nil, 6},
		{"guardrail", []string{"data_disk_usage_percentage_fail_threshold"}, 90},
	} {
		found := false
		all := r.metric(t, "backstay.cassandra."+c.metric)
	next:
		for at, value := range all {
			for _, s := range append(c.says, "10.0.0.1:9042") {
				if !strings.Contains(at, s) {
					continue next
				}
			}
			found = true
			if value != c.want {
				t.Errorf("%s %v is %v, want %v", c.metric, c.says, value, c.want)
			}
		}
		if !found {
			t.Errorf("%s has no %v: %v", c.metric, c.says, all)
		}
	}
}

// TestOddNamesOfNodesAreValidText: a name that is no UTF-8 would cost the whole batch of metrics.
func TestOddNamesOfNodesAreValidText(t *testing.T) {
	const odd = "caf\xe9"
	r := newRig(t, 0)
	r.Report([]cassandra.NodeHealth{{
		Address: odd, DiskBytes: map[string]int64{odd: 7}, LargestPartitions: map[string]int64{odd + "." + odd: 5},
		ThreadPools: []cassandra.ThreadPool{{Name: odd, Active: 1}}, Hints: []cassandra.PendingHints{{For: odd, Files: 4}}, Guardrails: map[string]float64{odd: 90},
	}})
	for _, name := range []string{"disk.usage", "partition.largest", "thread_pool.tasks", "hints", "guardrail"} {
		all := r.metric(t, "backstay.cassandra."+name)
		if len(all) == 0 {
			t.Errorf("%s is missing", name)
		}
		for at := range all {
			if !utf8.ValidString(at) || !strings.Contains(at, "caf\uFFFD") {
				t.Errorf("%s of %q", name, at)
			}
		}
	}
}
