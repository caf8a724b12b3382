package app

import (
	"fmt"
	"time"
)

// An identity identifies a command: a command with the same identity is the same command, sent
// again. The ids of its commits, journal entries and events are derived from it.
type identity struct {
	Member string `json:"member"`
	// Name is the kind of command, such as request or play.
	Name string `json:"name"`
	// Object is the license that the command is about. It is empty for a request, which
	// creates one. The same key with another license is another command.
	Object string `json:"object,omitempty"`
	// Key is the client's Idempotency-Key.
	Key string `json:"key"`
	// Content is the rest of what the client sent. The same command with another content is
	// not a repeat, and is refused.
	Content string `json:"content,omitempty"`
}

// contentOf combines what a client sent into one text.
func contentOf(parts ...string) string { return digest(append([]string{"content"}, parts...)...) }

// commit returns the id of a commit. That of the first one is derived from the client's key,
// so that a repeated request finds it. When a command is decided again, the new commit gets an
// id that is used only once. If it were derived from the key too, a store that fences commits
// for a while would use up all ids that the command can have, and it could never be stored.
func (i identity) commit(attempt int) string {
	if attempt == 0 {
		return digest("commit", i.Member, i.Name, i.Object, i.Key, "0")
	}
	return digest("commit", i.Member, i.Name, i.Object, i.Key, fmt.Sprint(attempt), fmt.Sprint(time.Now().UnixNano()))
}

// fingerprint returns the value that the store compares when it already knows a commit's id.
func (i identity) fingerprint() string { return contentOf(i.Name, i.Object, i.Content) }

// report returns the id that a device's report, or a renewal, has in its license. It includes
// the content, so that another content under the same key reaches the store, which refuses it.
func (i identity) report() string {
	return digest("report", i.Member, i.Name, i.Object, i.Key, i.Content)
}

// entry returns the id in the journal.
func (i identity) entry() string { return digest("entry", i.Member, i.Name, i.Object, i.Key) }
