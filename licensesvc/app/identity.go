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

// chained is the number of commit ids that are derived from the client's key alone.
const chained = 8

// commit returns the id of a commit, after so many ids of the command were fenced. The first ids
// are derived from the client's key, so that a command that is sent again finds its commit, or
// walks along the fenced ids to it. The later ones are used only once: a store that fences
// commits for a while would otherwise use up all ids that the command can have.
func (i identity) commit(fenced int) string {
	if fenced < chained {
		return digest("commit", i.Member, i.Name, i.Object, i.Key, fmt.Sprint(fenced))
	}
	return digest("commit", i.Member, i.Name, i.Object, i.Key, fmt.Sprint(fenced), fmt.Sprint(time.Now().UnixNano()))
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
