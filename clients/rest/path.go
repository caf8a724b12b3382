package rest

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// expand replaces a path's parameters by arguments, escaped. A parameter is a whole
// segment, as in http.ServeMux: "/v1/members/{id}", "/files/{path...}". Text after a
// question mark stays unchanged. template is the path, if it has parameters.
func expand(path string, args []any) (text, template string, err error) {
	if !strings.HasPrefix(path, "/") {
		return "", "", errors.New("a path begins with a slash")
	}
	path, query, hasQuery := strings.Cut(path, "?")
	if strings.Contains(path+query, "#") {
		return "", "", errors.New("a path has no fragment: write %23 for a # that belongs to it")
	}
	segments := strings.Split(strings.TrimSuffix(path, "{$}"), "/")
	next := 0
	for i, segment := range segments {
		name, ok := strings.CutPrefix(segment, "{")
		if !ok {
			continue
		}
		name, ok = strings.CutSuffix(name, "}")
		if !ok {
			return "", "", fmt.Errorf("%q is no parameter: it must be a whole segment, such as {id}", segment)
		}
		if next == len(args) {
			return "", "", fmt.Errorf("there is no argument for {%s}: give one for each parameter", name)
		}
		segments[i], err = argument(name, args[next])
		if err != nil {
			return "", "", err
		}
		next++
	}
	if next < len(args) {
		return "", "", fmt.Errorf("there are %d arguments for %d parameters", len(args), next)
	}
	text = strings.Join(segments, "/")
	if next > 0 {
		template = path
	}
	if hasQuery {
		text += "?" + query
	}
	return text, template, nil
}

// argument escapes one argument. It refuses values that would change the meaning of the
// path: an empty segment, "." and "..".
func argument(name string, arg any) (string, error) {
	switch arg.(type) {
	case string, fmt.Stringer, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, bool:
	default:
		return "", fmt.Errorf("the argument for {%s} is a %T: give a string, an integer or a fmt.Stringer (options of another type of call are none)", name, arg)
	}
	text := fmt.Sprint(arg)
	parts := []string{text}
	if strings.HasSuffix(name, "...") {
		parts = strings.Split(text, "/")
	}
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("the argument %q for {%s} would name another path", text, name)
		}
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/"), nil
}
