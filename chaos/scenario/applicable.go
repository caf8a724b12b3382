package scenario

import (
	"time"

	"github.com/backstay-go/backstay/chaos"
)

// long is a delay that no caller waits for.
const long = 20 * time.Second

// applicable are the faults of a protocol that a caller can notice and must cope with.
// What nobody can notice (a wrong result that looks right) is not among them, nor a panic
// in the caller's own process.
var applicable = map[string][]struct {
	name string
	what chaos.What
}{
	chaos.InProcess: {
		{"slow", chaos.What{Kind: chaos.Latency, Delay: 150 * time.Millisecond}},
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}},
		{"done, much too late", chaos.What{Kind: chaos.Latency, Delay: long, At: "after"}},
		{"hang", chaos.What{Kind: chaos.Hang}},
		{"reply lost", chaos.What{Kind: chaos.Hang, At: "after"}},
		{"unavailable", chaos.What{Kind: chaos.Error, Code: "unavailable"}},
		{"full", chaos.What{Kind: chaos.Error, Code: "full"}},
		{"some error", chaos.What{Kind: chaos.Error, Message: "out of order"}},
	},
	chaos.HTTP: {
		{"slow", chaos.What{Kind: chaos.Latency, Delay: 150 * time.Millisecond}},
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}},
		{"hang", chaos.What{Kind: chaos.Hang}},
		{"reply lost", chaos.What{Kind: chaos.Drop, At: "after"}},
		{"500", chaos.What{Kind: chaos.Status, Status: 500}},
		{"503, retry after 1 s", chaos.What{Kind: chaos.Status, Status: 503, RetryAfter: time.Second}},
		{"429", chaos.What{Kind: chaos.Status, Status: 429}},
		{"404", chaos.What{Kind: chaos.Status, Status: 404}},
		{"200, no JSON", chaos.What{Kind: chaos.Status, Status: 200, Body: "<html>"}},
		{"reset", chaos.What{Kind: chaos.Reset}},
		{"drop", chaos.What{Kind: chaos.Drop}},
		{"truncated body", chaos.What{Kind: chaos.Truncate, Bytes: 10}},
		{"slow body", chaos.What{Kind: chaos.SlowBody, Delay: long, ChunkBytes: 8}},
		{"endless body", chaos.What{Kind: chaos.EndlessBody, ChunkBytes: 1024, Delay: time.Millisecond}},
		{"redirect loop", chaos.What{Kind: chaos.RedirectLoop}},
	},
	chaos.TCP: {
		{"slow", chaos.What{Kind: chaos.Latency, Delay: 150 * time.Millisecond}},
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}},
		{"hang", chaos.What{Kind: chaos.Hang, Direction: "both"}},
		{"swallows all", chaos.What{Kind: chaos.Blackhole}},
		{"reset", chaos.What{Kind: chaos.Reset}},
		{"down", chaos.What{Kind: chaos.Down}},
		{"cut short", chaos.What{Kind: chaos.Truncate, Bytes: 40}},
		{"bytes one by one", chaos.What{Kind: chaos.Slice, ChunkBytes: 1}},
	},
	chaos.CQL: {
		{"much too slow", chaos.What{Kind: chaos.Latency, Delay: long}},
		{"reply lost", chaos.What{Kind: chaos.DropReply}},
		{"request lost", chaos.What{Kind: chaos.DropRequest}},
		{"done twice", chaos.What{Kind: chaos.ExecuteTwice}},
		{"overloaded", chaos.What{Kind: chaos.Overloaded}},
		{"unprepared", chaos.What{Kind: chaos.Unprepared}},
	},
}

type faultAt struct {
	name string
	rule chaos.Rule
}

// faultsAt are the rules that harm a call with each applicable fault: that call alone,
// and it with all after it. Connections are harmed for good only.
func faultsAt(p Point) []faultAt {
	var all []faultAt
	for _, a := range applicable[p.Protocol] {
		rule := chaos.Rule{Name: a.name, Where: chaos.Where{Protocol: p.Protocol, Dependency: p.Dependency, Operation: p.Operation}, What: a.what, TTL: time.Minute}
		if p.Protocol == chaos.TCP {
			all = append(all, faultAt{a.name, rule})
			continue
		}
		once := rule
		once.When.Nth = p.Nth
		rule.When.After = p.Nth - 1
		all = append(all, faultAt{a.name + ", once", once}, faultAt{a.name, rule})
	}
	return all
}
