package cqlproxy_test

import (
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/chaos"
)

// TestWhatHasEndedHoldsNothing: a request or a reply that a fault holds goes on at once when
// the rule ends, whatever else it would have met.
func TestWhatHasEndedHoldsNothing(t *testing.T) {
	late := func(at string) chaos.What { return chaos.What{Kind: chaos.Latency, Delay: time.Hour, At: at} }
	holds := map[string][]chaos.What{
		"latency before":                    {late("")},
		"latency after":                     {late("after")},
		"hang before":                       {{Kind: chaos.Hang}},
		"hang after":                        {{Kind: chaos.Hang, At: "after"}},
		"reset before":                      {{Kind: chaos.Reset, Delay: time.Hour}},
		"reset after":                       {{Kind: chaos.Reset, Delay: time.Hour, At: "after"}},
		"latency before, and an error":      {late(""), {Kind: chaos.CQLError, Code: "overloaded"}},
		"latency before, and a lost reply":  {late(""), {Kind: chaos.DropReply}},
		"latency before, and no request":    {late(""), {Kind: chaos.DropRequest}},
		"latency before, and a drop":        {late(""), {Kind: chaos.Drop}},
		"latency after, and a late error":   {late("after"), {Kind: chaos.CQLError, Code: "overloaded", At: "after"}},
		"latency after, and a lost reply":   {late("after"), {Kind: chaos.DropReply}},
		"latency after, and a wrong stream": {late("after"), {Kind: chaos.WrongStream}},
		"latency after, and damage":         {late("after"), {Kind: chaos.Corrupt}},
		"latency after, and a cut":          {late("after"), {Kind: chaos.Truncate}},
		"latency after, and a late reset":   {late("after"), {Kind: chaos.Reset, At: "after"}},
	}
	ends := map[string]func(b *bench, rules []chaos.Rule){
		"removed": func(b *bench, _ []chaos.Rule) { b.rules() },
		"stopped": func(b *bench, _ []chaos.Rule) { b.injector.Stop() },
		"over":    nil,
		"changed": func(b *bench, rules []chaos.Rule) {
			for i := range rules {
				rules[i].What = chaos.What{Kind: chaos.Latency, Delay: time.Millisecond}
			}
			b.rules(rules...)
		},
	}
	for name, whats := range holds {
		for way, end := range ends {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				b, _ := scripted(t)
				c := dial(t, b.proxy.Addrs()[0], primitive.ProtocolVersion4, "")
				var rules []chaos.Rule
				for i, what := range whats {
					r := on(what)
					r.Name = string(rune('a' + i))
					if end == nil {
						r.TTL = b.injector.Elapsed() + 500*time.Millisecond
					}
					rules = append(rules, r)
				}
				b.rules(rules...)
				c.must(query(selected))
				soon(t, "the fault is reported", func() bool { return len(b.reported.list()) > 0 })
				if end != nil {
					end(b, rules)
				}
				f, err := c.receive()
				if err != nil || f.Header.StreamId != 1 || number(f.Body.Message) != 1 {
					t.Errorf("%v, %v; want the answer", f, err)
				}
			})
		}
	}
}

// TestAHeldStartupGoesOn: a connection that is being made is none that is stuck.
func TestAHeldStartupGoesOn(t *testing.T) {
	for _, what := range []chaos.What{
		{Kind: chaos.Hang}, {Kind: chaos.Hang, At: "after"}, {Kind: chaos.Latency, Delay: time.Hour},
		{Kind: chaos.Latency, Delay: time.Hour, At: "after"}, {Kind: chaos.Reset, Delay: time.Hour, At: "after"},
	} {
		for _, way := range ways {
			t.Run(string(what.Kind)+" "+what.At+"/"+way.name, func(t *testing.T) {
				t.Parallel()
				b, _ := scripted(t)
				b.rules(chaos.Rule{Name: "r", Where: chaos.Where{Operation: "STARTUP"}, What: what})
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					soon(t, "the fault is reported", func() bool { return len(b.reported.list()) > 0 })
					b.rules()
				}()
				c := dial(t, b.proxy.Addrs()[0], way.version, way.compress)
				if got := number(c.query("SELECT 1")); got != 1 {
					t.Errorf("the answer is row %d", got)
				}
				<-ended
			})
		}
	}
}
