package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/cli"
	"github.com/backstay-go/backstay/licensesvc/decision"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/service"
)

func TestDecisionsAreListed(t *testing.T) {
	data, none := t.TempDir(), t.TempDir()
	log, err := decision.Open(decision.Config{Dir: service.DecisionsIn(data)})
	if err != nil {
		t.Fatal(err)
	}
	log.Record(decision.Record{Member: "m-1", Command: "request", License: "lic-1", Key: "a", At: time.Now().Add(-48 * time.Hour), Outcome: decision.Done})
	log.Record(decision.Record{Member: "m-2", Command: "request", License: "lic-2", Key: "b", At: time.Now(), Outcome: decision.Refused, Reason: "device_limit",
		Detail: "2 devices hold downloads", Input: license.Request{Device: "phone"}})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args       string
		want       int
		says, lack string
	}{
		{"decisions", 2, "--data is missing", ""},
		{"decisions --data " + none, 2, "no decisions were recorded", ""},
		{"decisions --data " + data + " --outcome good", 2, `--outcome "good"`, ""},
		{"decisions --data " + data + " --since -1h", 2, "--since -1h0m0s", ""},
		{"decisions --data " + data, 0, "m-1  request  lic-1  done", ""},
		{"decisions --data " + data + " --since 24h", 0, "refused  device_limit: 2 devices", "m-1"},
		{"decisions --data " + data + " --outcome refused", 0, "m-2", "m-1"},
		{"decisions --data " + data + " --reason device_limit", 0, "m-2", "m-1"},
		{"decisions --data " + data + " --member m-1", 0, "m-1", "m-2"},
		{"decisions --data " + data + " --license lic-2", 0, "m-2", "m-1"},
		{"decisions --data " + data + " --command play", 0, "", "m-"},
		{"decisions --data " + data + " -o json --member m-2", 0, `"input":{"request":{`, "m-1"},
	} {
		var out bytes.Buffer
		streams := &cli.Streams{Out: &out, Err: &out}
		got := cli.Run(t.Context(), program(streams), streams, strings.Fields(c.args))
		if got != c.want || !strings.Contains(out.String(), c.says) || c.lack != "" && strings.Contains(out.String(), c.lack) {
			t.Errorf("%s: status %d, want %d and %q\n%s", c.args, got, c.want, c.says, out.String())
		}
	}
}
