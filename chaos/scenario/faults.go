package scenario

import (
	"slices"
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// long is a delay that no caller waits for.
const long = 20 * time.Second

// applicable lists, by protocol, the faults that a caller can notice and must cope with.
// It contains neither faults that no caller can notice (a wrong result that looks right)
// nor a panic in the caller's own process.
var applicable = map[string][]struct {
	name string
	what chaos.What
	// to reports whether the fault can happen to a call. Nil means that it can happen to all.
	to func(Point) bool
}{
	chaos.InProcess: {
		{"slow", chaos.What{Kind: chaos.Latency, Delay: 150 * time.Millisecond}, nil},
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}, nil},
		{"done, much too late", chaos.What{Kind: chaos.Latency, Delay: long, At: "after"}, nil},
		{"hang", chaos.What{Kind: chaos.Hang}, nil},
		{"reply lost", chaos.What{Kind: chaos.Hang, At: "after"}, nil},
		{"unavailable", chaos.What{Kind: chaos.Error, Code: "unavailable"}, nil},
		{"full", chaos.What{Kind: chaos.Error, Code: "full"}, nil},
		{"some error", chaos.What{Kind: chaos.Error, Message: "out of order"}, nil},
	},
	chaos.HTTP: {
		{"slow", chaos.What{Kind: chaos.Latency, Delay: 150 * time.Millisecond}, nil},
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}, nil},
		{"hang", chaos.What{Kind: chaos.Hang}, nil},
		{"reply lost", chaos.What{Kind: chaos.Drop, At: "after"}, nil},
		{"500", chaos.What{Kind: chaos.Status, Status: 500}, nil},
		{"503, retry after 1 s", chaos.What{Kind: chaos.Status, Status: 503, RetryAfter: time.Second}, nil},
		{"429", chaos.What{Kind: chaos.Status, Status: 429}, nil},
		{"404", chaos.What{Kind: chaos.Status, Status: 404}, nil},
		{"200, no JSON", chaos.What{Kind: chaos.Status, Status: 200, Body: "<html>"}, nil},
		{"reset", chaos.What{Kind: chaos.Reset}, nil},
		{"drop", chaos.What{Kind: chaos.Drop}, nil},
		{"reset in the body", chaos.What{Kind: chaos.Reset, AfterBytes: 10}, nil},
		{"truncated body", chaos.What{Kind: chaos.Truncate, Bytes: 10}, nil},
		{"slow body", chaos.What{Kind: chaos.SlowBody, Delay: long, ChunkBytes: 8}, nil},
		{"endless body", chaos.What{Kind: chaos.EndlessBody, ChunkBytes: 1024, Delay: time.Millisecond}, nil},
		{"redirect loop", chaos.What{Kind: chaos.RedirectLoop}, nil},
	},
	chaos.TCP: {
		{"slow", chaos.What{Kind: chaos.Latency, Delay: 150 * time.Millisecond}, nil},
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}, nil},
		{"hang", chaos.What{Kind: chaos.Hang, Direction: "both"}, nil},
		{"swallows all", chaos.What{Kind: chaos.Blackhole}, nil},
		{"reset", chaos.What{Kind: chaos.Reset}, nil},
		{"down", chaos.What{Kind: chaos.Down}, nil},
		{"cut short", chaos.What{Kind: chaos.Truncate, Bytes: 40}, nil},
		{"bytes one by one", chaos.What{Kind: chaos.Slice, ChunkBytes: 1}, nil},
	},
	chaos.CQL: {
		{"slow", chaos.What{Kind: chaos.Latency, Delay: 150 * time.Millisecond}, nil},
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}, nil},
		{"done, much too late", chaos.What{Kind: chaos.Latency, Delay: long, At: "after"}, nil},
		{"reply lost", chaos.What{Kind: chaos.DropReply}, nil},
		{"request lost", chaos.What{Kind: chaos.DropRequest}, nil},
		{"done twice", chaos.What{Kind: chaos.ExecuteTwice}, nil},
		{"unavailable", chaos.What{Kind: chaos.CQLError, Code: "unavailable"}, nil},
		{"overloaded", chaos.What{Kind: chaos.Overloaded}, nil},
		{"unprepared", chaos.What{Kind: chaos.Unprepared}, nil},
		{"read timeout", chaos.What{Kind: chaos.CQLError, Code: "read_timeout"}, reads},
		{"write timeout, done", chaos.What{Kind: chaos.CQLError, Code: "write_timeout", At: "after"}, writes},
		{"write timeout, not done", chaos.What{Kind: chaos.CQLError, Code: "write_timeout"}, writes},
		{"reset", chaos.What{Kind: chaos.Reset}, nil},
		{"done, and reset", chaos.What{Kind: chaos.Reset, At: "after"}, nil},
		{"answer cut short", chaos.What{Kind: chaos.Truncate}, nil},
	},
}

func reads(p Point) bool  { return p.Operation == "SELECT" }
func writes(p Point) bool { return !reads(p) }

type faultAt struct {
	// name also says whether only one call is harmed; kind does not.
	name, kind string
	rule       chaos.Rule
}

// faultNames lists the kinds of faults that apply to the calls.
func faultNames(points []Point) []string {
	var names []string
	for _, p := range points {
		for _, f := range faultsAt(p) {
			if !slices.Contains(names, f.kind) {
				names = append(names, f.kind)
			}
		}
	}
	return names
}

// faultsAt returns the rules that harm a call with each applicable fault: one rule for that
// call alone, and one for it and all later calls. Connections only get the latter.
func faultsAt(p Point) []faultAt {
	var all []faultAt
	for _, a := range applicable[p.Protocol] {
		if a.to != nil && !a.to(p) {
			continue
		}
		rule := chaos.Rule{Name: a.name, Where: chaos.Where{Protocol: p.Protocol, Dependency: p.Dependency, Operation: p.Operation, Table: p.Table}, What: a.what, TTL: time.Minute}
		if p.Protocol == chaos.TCP {
			all = append(all, faultAt{a.name, a.name, rule})
			continue
		}
		once := rule
		once.When.Nth = p.Nth
		rule.When.After = p.Nth - 1
		all = append(all, faultAt{a.name + ", once", a.name, once}, faultAt{a.name, a.name, rule})
	}
	return all
}
