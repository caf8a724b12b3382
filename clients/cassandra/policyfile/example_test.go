package policyfile_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/backstay-go/backstay/clients/cassandra"
	"github.com/backstay-go/backstay/clients/cassandra/policyfile"
)

const licenses = `
guards:
  catalog:
    bulkhead: {limit: 8}
    default: {timeout: 1s}
x-cassandra:
  licenses:
    profiles:
      read: {consistency: LOCAL_ONE, timeout: 200ms, idempotent: true}
      append: {consistency: LOCAL_QUORUM, serial_consistency: LOCAL_SERIAL, timeout: 2s}
    default_profile: read
`

func ExampleParse() {
	sessions, warnings, err := policyfile.Parse("policies.yaml", []byte(licenses))
	if err != nil {
		fmt.Println(err)
		return
	}
	config := cassandra.Config{Hosts: []string{"node1.example.com"}}
	sessions["licenses"].Apply(&config) // then cassandra.Connect(ctx, config)
	fmt.Println(config.DefaultProfile, config.Profiles["append"].Timeout, len(warnings))
	// Output: read 2s 0
}

// ParseAll reads the guards of the file as well.
func ExampleParseAll() {
	guards, sessions, _, err := policyfile.ParseAll("policies.yaml", []byte(licenses))
	fmt.Println(len(guards), len(sessions), err)
	// Output: 1 1 <nil>
}

func ExampleLoad() {
	folder, err := os.MkdirTemp("", "policies")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "policies.yaml")
	if err := os.WriteFile(file, []byte(licenses), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	sessions, _, err := policyfile.Load(file, os.Environ()...)
	fmt.Println(len(sessions["licenses"].Profiles), err)
	// Output: 2 <nil>
}
