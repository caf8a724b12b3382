package resilience

import "sync/atomic"

// attemptState is what changes during an attempt, in one word, so that the end of an
// attempt that nothing unusual happened to is one atomic step. Its zero value is an
// attempt that runs and whose only holder is its call. Safe for concurrent use.
type attemptState struct{ atomic.Uint32 }

// The bits of an attemptState. The two lowest say why the attempt's context has ended,
// and never change again. The highest count the holders besides the call.
const (
	endedByTime uint32 = iota + 1
	endedByParent
	endedByGuard
	endReason = endedByTime | endedByParent
)

const (
	// demanded: the channel of the context was made.
	demanded uint32 = 4 << iota
	// standalone: the context that was made has a timer and is the one to ask.
	standalone
	// reported: breaker and limit have received the outcome.
	reported
	// notStored: the value must not be remembered.
	notStored
	// uncounted: the value says nothing about the dependency.
	uncounted
	// lost: the attempt was cancelled because another one won.
	lost
	// lent: another attempt uses the permit of this one.
	lent
	// returned: the call itself has let go.
	returned
	// gone: the attempt has ended or was given up. judged: it was given up. Both are
	// set under the mu of the attempt's race.
	gone
	judged
	oneHold
)

func (s *attemptState) has(bit uint32) bool { return s.Load()&bit != 0 }

// set sets a bit and reports whether it was not set before.
func (s *attemptState) set(bit uint32) bool { return s.Or(bit)&bit == 0 }

// setEnd records why the context has ended, unless it ended before. It returns the state
// before.
func (s *attemptState) setEnd(reason uint32) (before uint32) {
	for {
		before = s.Load()
		if before&endReason != 0 || s.CompareAndSwap(before, before|reason) {
			return before
		}
	}
}

// endAlone is the end of an attempt that succeeded while only its call held it and
// nothing unusual happened: reported, returned and ended. It reports false, and does
// nothing, if this is another attempt.
func (s *attemptState) endAlone() (before uint32, ok bool) {
	before = s.Load()
	ok = before&^(demanded|standalone) == 0 && s.CompareAndSwap(before, before|reported|returned|endedByGuard)
	return before, ok
}

// held reports whether anybody holds the attempt.
func (s *attemptState) held() bool { v := s.Load(); return v&returned == 0 || v >= oneHold }

// hold adds a holder, unless the attempt is over.
func (s *attemptState) hold() bool {
	for {
		v := s.Load()
		if v&returned != 0 && v < oneHold {
			return false
		}
		if s.CompareAndSwap(v, v+oneHold) {
			return true
		}
	}
}

// letGo takes one holder away: the call, or one of the others. It reports whether that
// was the last.
func (s *attemptState) letGo(call bool) (last bool) {
	for {
		v := s.Load()
		next := v - oneHold
		if call {
			next = v | returned
		}
		if s.CompareAndSwap(v, next) {
			return next&returned != 0 && next < oneHold
		}
	}
}
