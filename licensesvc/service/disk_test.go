package service_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backstay-go/backstay/licensesvc/dashboard"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/service"
)

// TestTheDiskPanelMeasuresTheStore: neither the store's log nor other files in the data folder
// make an event larger, and the store may be in another folder.
func TestTheDiskPanelMeasuresTheStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events.db")
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	const events = 500
	for i := range events {
		_, err := store.Append(t.Context(), eventstore.Commit{Stream: fmt.Sprint("s-", i), ID: fmt.Sprint("c-", i),
			Events: []eventstore.Event{{Type: "tick", Schema: 1, Occurred: time.Now(), Recorded: time.Now(), Data: []byte(`"` + strings.Repeat("x", 500) + `"`)}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	in := start(t, func(c *service.Config) {
		c.Store = service.SQLite{Path: path}
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.Data, "other"), make([]byte, 5<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	resp, err := http.Get(in.URL() + "/dashboard/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Capacity dashboard.Capacity }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &got); err != nil {
		t.Fatal(err)
	}
	real := float64(info.Size()) / events
	if each := got.Capacity.EventBytes; each < 0.95*real || each > 1.05*real {
		t.Errorf("%.0f bytes per event; the file has %.0f", each, real)
	}
}
