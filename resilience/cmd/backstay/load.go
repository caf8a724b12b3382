package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"

	sessions "github.com/backstay-go/backstay/clients/cassandra/policyfile"
	"github.com/backstay-go/backstay/resilience/policyfile"
)

// policies is all that a file holds.
type policies struct {
	guards   policyfile.Policies
	sessions sessions.Policies
}

// The keys at the top that tell whose reader is asked.
var (
	hasGuards   = regexp.MustCompile(`(?m)^["']?guards["']?\s*:`)
	hasSessions = regexp.MustCompile(`(?m)^["']?x-cassandra["']?\s*:`)
)

// load reads a file: the guards, and Cassandra's sessions where there are some. What both
// readers find is found once.
func load(file string, environ []string) (all policies, findings []policyfile.Finding, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return all, nil, fmt.Errorf("policyfile: %w; the file must exist and be readable", err)
	}
	var bad, alsoBad error
	cassandra := hasSessions.Match(text)
	if !cassandra || hasGuards.Match(text) {
		all.guards, findings, bad = policyfile.Parse(file, text, environ...)
	}
	if cassandra {
		var more []policyfile.Finding
		all.sessions, more, alsoBad = sessions.Parse(file, text, environ...)
		for _, f := range more {
			if !slices.ContainsFunc(findings, func(o policyfile.Finding) bool { return o.String() == f.String() }) {
				findings = append(findings, f)
			}
		}
	}
	return all, findings, errors.Join(bad, alsoBad)
}
