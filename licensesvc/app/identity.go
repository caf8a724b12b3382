package app

import (
	"fmt"
	"time"
)

// An identity is what makes a command itself: a command with the same identity is the same
// command, sent again. Commits, journal entries and the ids that events carry follow from it.
type identity struct {
	Member string `json:"member"`
	// Name is the kind of command, such as request or play.
	Name string `json:"name"`
	// Object is the license that the command is about; empty for a request, which makes one. The
	// same key on another license is another command.
	Object string `json:"object,omitempty"`
	// Key is the client's Idempotency-Key.
	Key string `json:"key"`
	// Content is what else the client said. The same command with another content is no repeat:
	// it is refused.
	Content string `json:"content,omitempty"`
}

// contentOf makes one text of what a client said.
func contentOf(parts ...string) string { return digest(append([]string{"content"}, parts...)...) }

// commit names an append. The first one follows from the client's key, so that the same
// request finds it again. A command that decides anew is another commit; its id is of
// this time alone: if it followed from the key too, a store that closes commits for a
// while would use up all that a command can have, and it could never be stored.
func (i identity) commit(attempt int) string {
	if attempt == 0 {
		return digest("commit", i.Member, i.Name, i.Object, i.Key, "0")
	}
	return digest("commit", i.Member, i.Name, i.Object, i.Key, fmt.Sprint(attempt), fmt.Sprint(time.Now().UnixNano()))
}

// fingerprint is what the store compares when it knows a commit's id already.
func (i identity) fingerprint() string { return contentOf(i.Name, i.Object, i.Content) }

// report is the id that a device's report, or a renewal, has in its license. It includes the
// content, so that another content under the same key comes to the store, which refuses it.
func (i identity) report() string {
	return digest("report", i.Member, i.Name, i.Object, i.Key, i.Content)
}

// entry is the id in the journal.
func (i identity) entry() string { return digest("entry", i.Member, i.Name, i.Object, i.Key) }
