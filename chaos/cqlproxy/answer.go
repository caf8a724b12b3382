package cqlproxy

import "errors"

// Kinds of RESULT.
const (
	resultRows        = 2
	resultSetKeyspace = 3
	resultPrepared    = 4
)

// answer holds what the proxy has read from a node's frame.
type answer struct {
	frame frame
	// prefix is what stands before the message: tracing id, warnings, custom payload.
	prefix, message []byte
}

// readAnswer finds the message in a frame; body is the frame's body, decompressed.
func readAnswer(f frame, body []byte) (answer, error) {
	c := &cursor{b: body}
	if f.flags()&flagTracing != 0 {
		c.take(16)
	}
	if f.flags()&flagWarning != 0 {
		for range c.uint16() {
			if c.short {
				break
			}
			c.take(c.uint16())
		}
	}
	if f.flags()&flagPayload != 0 {
		for range c.uint16() {
			if c.short {
				break
			}
			c.take(c.uint16())
			c.bytes()
		}
	}
	if c.short {
		return answer{}, errors.New("the answer is shorter than its header says")
	}
	return answer{frame: f, prefix: body[:c.at], message: body[c.at:]}, nil
}

// with returns the frame with another message, not compressed.
func (a answer) with(message []byte) frame {
	body := append(append(make([]byte, 0, len(a.prefix)+len(message)), a.prefix...), message...)
	return newFrame(a.frame[0], a.frame.flags()&^flagCompressed, a.frame.stream(), a.frame.op(), body)
}

// result returns the kind of a RESULT and a cursor behind it. The kind is 0 for other
// answers.
func (a answer) result() (kind int, c *cursor) {
	c = &cursor{b: a.message}
	if a.frame.op() != opResult {
		return 0, c
	}
	return c.int32(), c
}
