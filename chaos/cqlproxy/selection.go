package cqlproxy

import "strings"

// aliases maps the names that a SELECT gives to its columns to the selected expressions.
// Both are in lower case, with a space between words and signs.
func aliases(text string) map[string]string {
	t := tokens{text: text}
	if !strings.EqualFold(t.next().text, "SELECT") {
		return nil
	}
	named := map[string]string{}
	var expression strings.Builder
	depth := 0
	for word := t.next(); word.kind != tokenEnd; word = t.next() {
		switch {
		case word.text == "(":
			depth++
		case word.text == ")":
			depth--
		case depth > 0:
		case word.kind == tokenWord && strings.EqualFold(word.text, "FROM"):
			return named
		case word.text == ",":
			expression.Reset()
			continue
		case word.kind == tokenWord && strings.EqualFold(word.text, "AS"):
			if alias := t.next(); alias.isName() {
				words := strings.TrimPrefix(strings.TrimPrefix(expression.String(), "json "), "distinct ")
				named[alias.name()] = words
			}
			continue
		}
		if expression.Len() > 0 {
			expression.WriteByte(' ')
		}
		expression.WriteString(strings.ToLower(word.text))
	}
	return named
}
