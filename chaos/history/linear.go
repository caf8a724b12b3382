package history

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// state is a stream in the model: its commits and its version. Treat it as a value: a slice of
// commits that is shared is never written to.
type state struct {
	commits []string
	version int64
}

// model says how a stream behaves. An append of a new commit at the stream's version adds it
// at the end, a repeated append changes nothing, and a read sees the whole stream.
var model = porcupine.NondeterministicModel{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		var order []string
		for _, op := range ops {
			stream := op.Input.(Op).Stream
			if by[stream] == nil {
				order = append(order, stream)
			}
			by[stream] = append(by[stream], op)
		}
		var parts [][]porcupine.Operation
		for _, stream := range order {
			parts = append(parts, by[stream])
		}
		return parts
	},
	Init: func() []any { return []any{state{}} },
	Step: func(s, input, _ any) []any { return step(s.(state), input.(Op)) },
	Equal: func(a, b any) bool {
		x, y := a.(state), b.(state)
		return x.version == y.version && slices.Equal(x.commits, y.commits)
	},
	DescribeOperation: func(input, _ any) string { return describe(input.(Op)) },
	DescribeState:     func(s any) string { return strings.Join(s.(state).commits, " ") },
}

// step returns the states that are possible after an operation. No state means that the
// operation can't have happened here.
func step(s state, op Op) []any {
	if op.Commit == "" {
		if op.Outcome == Unknown || s.seen(op.Saw) {
			return []any{s}
		}
		return nil
	}
	there := slices.Contains(s.commits, op.Commit)
	next := state{append(slices.Clone(s.commits), op.Commit), s.version + int64(op.Events)}
	switch op.Outcome {
	case Applied:
		switch {
		case there: // It was repeated: the answer tells of then or of now.
			return []any{s}
		case s.version == op.Expected && (op.Version == 0 || op.Version == next.version):
			return []any{next}
		}
		return nil
	case Conflict:
		if s.version != op.Expected && (op.Version == 0 || op.Version == s.version) {
			return []any{s}
		}
		return nil
	case Rejected:
		return []any{s}
	}
	if !there && s.version == op.Expected {
		return []any{s, next}
	}
	return []any{s}
}

// seen reports whether a read of the state would find the events.
func (s state) seen(events []Event) bool {
	if int64(len(events)) != s.version {
		return false
	}
	last, n := "", 0
	for i, e := range events {
		if e.Version != int64(i+1) {
			return false
		}
		if e.Commit != last {
			if n == len(s.commits) || s.commits[n] != e.Commit {
				return false
			}
			last, n = e.Commit, n+1
		}
	}
	return n == len(s.commits)
}

func describe(op Op) string {
	if op.Commit == "" {
		return fmt.Sprintf("read %s: %d events", op.Stream, len(op.Saw))
	}
	return fmt.Sprintf("append %s to %s at %d: %s, version %d", op.Commit, op.Stream, op.Expected, op.Outcome, op.Version)
}

// Linearizable reports whether one order of the operations, stream by stream, explains every
// answer. ok is false if there is no such order. decided is false if the time limit did not
// suffice. why names a stream without such an order.
func (h History) Linearizable(bound time.Duration) (ok, decided bool, why string) {
	streams := map[string][]porcupine.Operation{}
	for i, op := range h {
		end := int64(op.Return)
		if op.Outcome == Unknown {
			if op.Commit == "" {
				continue // A read that failed says nothing.
			}
			end = math.MaxInt64
		}
		streams[op.Stream] = append(streams[op.Stream], porcupine.Operation{ClientId: i, Input: op, Call: int64(op.Call), Output: op.Outcome, Return: end})
	}
	names := make([]string, 0, len(streams))
	for name := range streams {
		names = append(names, name)
	}
	slices.Sort(names)
	m, until := model.ToModel(), time.Now().Add(bound)
	for _, name := range names {
		left := time.Until(until)
		if left <= 0 {
			return false, false, name
		}
		switch porcupine.CheckOperationsTimeout(m, streams[name], left) {
		case porcupine.Illegal:
			return false, true, name
		case porcupine.Unknown:
			return false, false, name
		}
	}
	return true, true, ""
}
