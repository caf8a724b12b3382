package rest

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
)

// Problem is a problem document (RFC 9457). errors.As finds it in a StatusError. A member
// that has the wrong type in the document keeps its zero value.
type Problem struct {
	// Type is the address that identifies the kind of problem; about:blank if the document
	// names none.
	Type string
	// Status is the status in the document. If it differs, the status of the answer is right.
	Status                  int
	Title, Detail, Instance string
	// Members are all members of the document, unknown ones included.
	Members map[string]any
}

// Error is the title and the detail.
func (p *Problem) Error() string {
	if p.Title == "" && p.Detail == "" {
		return p.Type
	}
	return strings.Trim(p.Title+": "+p.Detail, ": ")
}

// blank is the type of a problem that names none.
const blank = "about:blank"

func problemOf(h http.Header, body []byte) *Problem {
	// A parameter that can't be read leaves the type, which is all that counts.
	if kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")); kind != "application/problem+json" {
		return nil
	}
	var members map[string]any
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil
	}
	text := func(name string) string { s, _ := members[name].(string); return s }
	p := &Problem{Type: text("type"), Title: text("title"), Detail: text("detail"), Instance: text("instance"), Members: members}
	if p.Type == "" {
		p.Type = blank
	}
	if status, ok := members["status"].(float64); ok && status >= 100 && status <= 599 {
		p.Status = int(status)
	}
	return p
}
