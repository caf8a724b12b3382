package cassandra_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/datastax/go-cassandra-native-protocol/message"
	"github.com/datastax/go-cassandra-native-protocol/primitive"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/internal/cqltest"
)

// TestWrongFrames lets the first answer be wrong in each way. It must become an
// error: of a write, with an unknown outcome; then the next request must succeed.
func TestWrongFrames(t *testing.T) {
	header := func(r *cqltest.Request, opcode byte, length uint32) []byte {
		return []byte{0x84, 0, byte(uint16(r.Stream()) >> 8), byte(r.Stream()), opcode, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}
	}
	for _, c := range []struct {
		name   string
		answer func(*cqltest.Request)
		// silent: the caller learns of it only when its time is up.
		silent bool
	}{
		{"closed instead of an answer", (*cqltest.Request).Close, false},
		{"closed in the header", func(r *cqltest.Request) { r.Break(&message.VoidResult{}, 4) }, false},
		{"closed in the body", func(r *cqltest.Request) { r.Break(&message.VoidResult{}, 11) }, false},
		{"another protocol altogether", func(r *cqltest.Request) { r.Raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, false},
		{"an unknown opcode", func(r *cqltest.Request) { r.Raw(header(r, 0x77, 0)) }, false},
		{"an answer to another question", func(r *cqltest.Request) { r.Send(&message.Ready{}) }, false},
		{"an unknown kind of result", func(r *cqltest.Request) { r.Raw(r.Frame(primitive.OpCodeResult, []byte{0, 0, 0, 99})) }, false},
		{"a result cut short", func(r *cqltest.Request) { r.Raw(r.Frame(primitive.OpCodeResult, []byte{0, 0, 0, 2, 0, 0})) }, false},
		{"a result that promises too much", func(r *cqltest.Request) {
			r.Raw(r.Frame(primitive.OpCodeResult, []byte{0, 0, 0, 2, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1}))
		}, false},
		{"an error cut short", func(r *cqltest.Request) { r.Raw(r.Frame(primitive.OpCodeError, []byte{0, 0})) }, false},
		{"an error without its facts", func(r *cqltest.Request) { r.Error(0x1000, "alone", nil) }, false},
		{"a length that no frame has", func(r *cqltest.Request) { r.Raw(header(r, 0x08, 0x7fffffff)); r.Close() }, false},
		{"another version of the protocol", func(r *cqltest.Request) {
			b := r.Frame(primitive.OpCodeResult, []byte{0, 0, 0, 1})
			b[0] = 0x83
			r.Raw(b)
		}, false},
		{"an answer to a stream that nobody opened", func(r *cqltest.Request) { r.SendOn(r.Stream()+1000, &message.VoidResult{}) }, true},
		{"an answer to stream 0", func(r *cqltest.Request) { r.SendOn(0, &message.VoidResult{}) }, false},
		{"an event of no kind", func(r *cqltest.Request) { r.SendOn(-1, &message.VoidResult{}) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster, s := scripted(t, cqltest.Config{}, func(cfg *cassandra.Config) {
				p := cfg.Profiles["once"]
				p.Retry, p.Timeout = nil, 300*time.Millisecond
				if !c.silent {
					p.Timeout = patience
				}
				cfg.Profiles["once"] = p
			})
			cluster.On(insertV, cqltest.Statement{Answer: func(r *cqltest.Request) {
				if r.Nth == 1 {
					c.answer(r)
					return
				}
				r.Void()
			}})
			err := s.Query(insertV, "a", "b").Profile("once").Exec()
			if !errors.Is(err, cassandra.ErrOutcomeUnknown) || errors.Is(err, context.DeadlineExceeded) != c.silent {
				t.Errorf("%v", err)
			}
			eventually(t, "the next request succeeds", func() bool { return s.Query(insertV, "a", "b").Profile("once").Exec() == nil })
		})
	}
}

// TestLateAnswers: an answer that comes when nobody waits any more frees its stream
// and is nobody else's answer.
func TestLateAnswers(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{}, func(cfg *cassandra.Config) {
		p := cfg.Profiles["brief"]
		p.Retry, p.Timeout, p.AttemptTimeout = nil, 50*time.Millisecond, 0
		cfg.Profiles["brief"] = p
	})
	release := make(chan struct{})
	cluster.On(selectV, cqltest.Statement{Columns: selects.Columns, Answer: func(r *cqltest.Request) {
		if string(r.Values[0]) == "late" {
			<-release
		}
		r.Rows([]any{string(r.Values[0])})
	}})
	for range 5 {
		if err := s.Query(selectV, "late").Profile("brief").Exec(); !errors.Is(err, cassandra.ErrTimedOut) {
			t.Fatal(err)
		}
	}
	close(release)
	for range 20 {
		var v string
		if err := s.Query(selectV, "now").Scan(&v); err != nil || v != "now" {
			t.Fatalf("%q, %v", v, err)
		}
	}
	eventually(t, "streams are free", func() bool { return s.Nodes()[0].InFlight == 0 })
}

// TestANodeThatReadsNothing: while the driver writes, its callers can't leave. It
// must not write for long.
func TestANodeThatReadsNothing(t *testing.T) {
	cluster, s := scripted(t, cqltest.Config{}, func(cfg *cassandra.Config) {
		p := cfg.Profiles["once"]
		p.Retry, p.Timeout = nil, 200*time.Millisecond
		cfg.Profiles["once"] = p
		p.Timeout = time.Hour
		cfg.Profiles["patient"] = p
	})
	cluster.On(insertV, cqltest.Statement{Answer: (*cqltest.Request).Void})
	if err := s.Query(insertV, "a", "b").Profile("once").Exec(); err != nil {
		t.Fatal(err)
	}
	thaw := cluster.Node(0).Freeze()
	defer thaw()
	large := strings.Repeat("x", 1<<20)
	var work sync.WaitGroup
	var answered atomic.Int64
	start := time.Now()
	for range 32 { // more than any system keeps for a connection
		work.Go(func() {
			if err := s.Query(insertV, "a", large).Profile("once").Exec(); err == nil {
				answered.Add(1)
			}
		})
	}
	work.Wait()
	// The frame that it was waiting for it still reads.
	if n := answered.Load(); n > 1 {
		t.Errorf("a frozen node answered %d requests", n)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("the callers were held for %v", took)
	}
	thaw()
	eventually(t, "requests succeed", func() bool { return s.Query(insertV, "a", "b").Profile("once").Exec() == nil })
}
