package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// exactJSON reads JSON whose names are spelled exactly and appear once. Package encoding/json
// ignores case and takes the last of several, so that two programs could read one body in two
// ways.
var exactJSON = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalExact}

func unmarshalExact(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Errorf("no JSON at byte %d: %w", syntax.Offset, err)
		}
		return err
	}
	known := map[string]string{}
	if t := reflect.TypeOf(v).Elem(); t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			known[strings.ToLower(name)] = name
		}
	}
	return namesOnce(json.NewDecoder(bytes.NewReader(data)), known)
}

// namesOnce reads one value and reports a name that appears twice in an object, or that differs
// from a known one in case only. The text is known to be JSON.
func namesOnce(d *json.Decoder, known map[string]string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			token, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := token.(string)
			folded := strings.ToLower(name)
			if seen[folded] {
				return fmt.Errorf("the name %.50q appears twice", name)
			}
			if exact, ok := known[folded]; ok && exact != name {
				return fmt.Errorf("the name %.50q is unknown; did you mean %q?", name, exact)
			}
			seen[folded] = true
		}
		if err := namesOnce(d, nil); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end
	return err
}

// humaErrors turns the errors that huma itself finds into problems. It leaves out the values
// that were sent.
func humaErrors(_ huma.Context, _ string, v any) (any, error) {
	found, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problemOf(kindOfStatus(found.Status), found.Status, found.Detail)
	if p.Detail == "validation failed" {
		p.Detail = "some fields can't be taken; see errors"
	}
	for _, e := range found.Errors {
		p.Errors = append(p.Errors, FieldError{Field: e.Location, Message: e.Message})
	}
	return p, nil
}

// readBody reads the body of a request before next gets it, so that each way in which that can
// fail has its answer.
func (a *API) readBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		var body []byte
		var err error
		if r.ContentLength <= maxBody {
			body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		}
		switch {
		case r.ContentLength > maxBody, len(body) > maxBody:
			a.unread(w, r, problemOf(KindTooLarge, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body may have at most %d bytes", maxBody)))
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			// The server's handler answers that the body came too late.
		case err != nil:
			a.unread(w, r, problemOf(KindMalformed, http.StatusBadRequest, "the body can't be read to its end: send it as its headers say"))
		default:
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		}
	})
}

// unread answers a request whose body could not be read.
func (a *API) unread(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.write(w, r)
	a.onRequest(RequestLog{Kind: "unread", Status: p.Status, Outcome: p.Outcome})
}
