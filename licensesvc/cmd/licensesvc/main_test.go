package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/backstay-go/backstay/licensesvc/app"
	"github.com/backstay-go/backstay/licensesvc/eventstore"
	"github.com/backstay-go/backstay/licensesvc/eventstore/sqlite"
	"github.com/backstay-go/backstay/licensesvc/license"
	"github.com/backstay-go/backstay/licensesvc/upstream/server"
	"github.com/backstay-go/backstay/licensesvc/wire"
)

// asCommand makes the test binary behave as the command, so that a test can kill it.
const asCommand = "LICENSESVC_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// process is the command, running.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	done chan struct{}
}

// serving starts the command and waits until it says where it serves.
func serving(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, done: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], append([]string{"serve", "--listen", "127.0.0.1:0", "--data", data}, flags...)...)
	p.cmd.Env = append(os.Environ(), asCommand+"=1")
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := make(chan string, 1)
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), " api="); ok && strings.Contains(lines.Text(), "msg=serving") {
				base, _, _ := strings.Cut(rest, "/v1")
				url <- base
			}
		}
	}()
	select {
	case p.url = <-url:
	case <-p.done:
		t.Fatal("the command ended before it served")
	case <-time.After(30 * time.Second):
		t.Fatal("the command did not say within 30 s where it serves")
	}
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.cmd.Wait()
}

func post(client *http.Client, url, key, body string) (status int, license string) {
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	var a struct {
		License struct {
			ID string `json:"license"`
		} `json:"license"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return 0, ""
	}
	return resp.StatusCode, a.License.ID
}

// TestKillLosesNothingAcknowledged kills the service with -9 in the middle of a load,
// twice, and finds every acknowledged license in the file, once.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	data := t.TempDir()
	type grant struct{ member, license, key string }
	var mu sync.Mutex
	acknowledged := map[grant]bool{}
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	const workers, enough = 16, 150
	body := func(worker, n int) string {
		return fmt.Sprintf(`{"device":"d","title":"%s"}`, server.TitleID("capstan", 1+(worker+n)%server.TitlesPerStudio))
	}
	for round := range 2 {
		p := serving(t, data)
		reached := make(chan struct{})
		var once sync.Once
		var wg sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for worker := range workers {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					member, key := server.MemberID(1+100*round+worker), fmt.Sprintf("%d-%d-%d", round, worker, n)
					status, id := post(client, p.url+"/v1/members/"+member+"/licenses", key, body(worker, n))
					if status != http.StatusCreated {
						if status == 0 {
							return // killed
						}
						// The member holds all that the rules allow: give one back.
						mu.Lock()
						for g := range acknowledged {
							if g.member == member {
								id = g.license
							}
						}
						mu.Unlock()
						post(client, p.url+"/v1/members/"+member+"/licenses/"+id+"/release", "r"+key, "")
						continue
					}
					mu.Lock()
					acknowledged[grant{member, id, key}] = true
					if len(acknowledged) >= enough*(round+1) {
						once.Do(func() { close(reached) })
					}
					mu.Unlock()
				}
			})
		}
		select {
		case <-reached:
		case <-time.After(60 * time.Second):
			t.Error("the load made too few licenses within a minute")
		}
		p.kill()
		stop()
		wg.Wait()
	}
	// What was acknowledged before the first kill is answered as before by the next
	// process.
	p := serving(t, data)
	for g := range acknowledged {
		resp, err := client.Get(p.url + "/v1/members/" + g.member + "/licenses/" + g.license)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s of %s after the crash: status %d", g.license, g.member, resp.StatusCode)
		}
	}
	p.kill()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(data, "events.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	codec, err := wire.New()
	if err != nil {
		t.Fatal(err)
	}
	for g := range acknowledged {
		found := 0
		_, err := eventstore.LoadAll(t.Context(), store, eventstore.Query{Stream: app.Stream(g.member)}, func(events []eventstore.Event) error {
			decoded, err := codec.DecodeAll(events)
			if err != nil {
				return err
			}
			for _, e := range decoded {
				if e.Of() == g.license && e.Kind() == license.KindGranted {
					found++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if found != 1 {
			t.Errorf("%s of %s was acknowledged and is stored %d times", g.license, g.member, found)
		}
	}
	t.Logf("%d acknowledged licenses", len(acknowledged))
}

// TestTerminateLosesNoRequest sends SIGTERM while clients send commands over kept
// connections and a balancer looks at /readyz: each command is answered, and the process
// ends with status 0.
func TestTerminateLosesNoRequest(t *testing.T) {
	p := serving(t, t.TempDir(), "--notice", "2s")
	const workers = 50
	tr := &http.Transport{MaxIdleConnsPerHost: workers}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	// The balancer takes clients away for good once it sees that the service is not ready.
	away := make(chan struct{})
	ready := func() bool {
		resp, err := client.Get(p.url + "/readyz")
		if err != nil {
			t.Errorf("a look at readiness failed: %v", err)
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if !ready() {
		t.Fatal("it is not ready")
	}
	var sent atomic.Int64
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-away:
					return
				default:
				}
				member, key := server.MemberID(1+worker), fmt.Sprintf("%d-%d", worker, n)
				status, _ := post(client, p.url+"/v1/members/"+member+"/licenses", key, fmt.Sprintf(`{"device":"d","title":"%s"}`, server.TitleID("capstan", 1+n%5)))
				if status == 0 { // no answer; a slow machine may make it 503
					t.Error("a request failed")
					return
				}
				sent.Add(1)
			}
		})
	}
	deadline, tick := time.After(60*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for sent.Load() < 4*workers && !t.Failed() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the load did not begin within a minute")
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for ready() {
		<-tick.C
	}
	close(away)
	wg.Wait()
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		t.Fatal("it did not end")
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	t.Logf("%d requests", sent.Load())
}

// TestWhoReadsTheOutputMayGo: a pipe that is closed ends nothing.
func TestWhoReadsTheOutputMayGo(t *testing.T) {
	cmd := exec.Command(os.Args[0], "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir())
	cmd.Env = append(os.Environ(), asCommand+"=1")
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "msg=serving") {
	}
	// What it tells from here on, as that it drains, nobody reads.
	if err := errors.Join(out.Close(), cmd.Process.Signal(os.Interrupt)); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended by %v", err)
	}
}

func TestExitStatus(t *testing.T) {
	busy := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(busy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tokens := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(tokens, []byte("- actor: a\n  sha265: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, nobody, long := filepath.Join(t.TempDir(), "plan.yaml"), filepath.Join(t.TempDir(), "nobody.yaml"), filepath.Join(t.TempDir(), "long.yaml")
	session := filepath.Join(t.TempDir(), "session.yaml")
	for file, text := range map[string]string{
		session: "x-cassandra:\n  licenses: {profiles: {append: {timeout: 1s, consistency: ONE}}}\nguards:\n  catalog: {bulkhead: {limit: 8}, default: {timeout: 1s}, operations: {title: {timeout: 1s}}}\n",
		plan:    "seed: 1\nrulez: []\n", nobody: "rules:\n  - where: {dependency: billing}\n    what: {kind: hang}\n",
		long: "rules:\n  - when: {from: 3m}\n    where: {dependency: catalog}\n    what: {kind: hang}\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"no command", []string{}, 2, "Usage"},
		{"unknown command", []string{"dance"}, 2, `there is no command "dance"`},
		{"unknown flag", []string{"serve", "--dta", "x"}, 2, "did you mean --data?"},
		{"no data", []string{"serve"}, 2, "--data"},
		{"open to all", []string{"serve", "--data", "x", "--listen", "0.0.0.0:80"}, 2, "--tokens"},
		{"some upstreams", []string{"serve", "--data", "x", "--catalog", "http://x"}, 2, "or none"},
		{"bad tokens", []string{"serve", "--data", "x", "--tokens", tokens}, 2, "sha265"},
		{"bad deadline", []string{"serve", "--data", "x", "--deadline", "soon"}, 2, "deadline"},
		{"data is a file", []string{"serve", "--data", busy}, 2, busy},
		{"bad network", []string{"serve", "--data", "x", "--trust", "intranet"}, 2, "10.0.0.0/8"},
		{"extra argument", []string{"demo", "now"}, 2, "now"},
		{"no contact point", []string{"serve", "--data", "x", "--store", "cassandra"}, 2, "--cassandra"},
		{"no local data centre", []string{"serve", "--data", "x", "--store", "cassandra", "--cassandra", "127.9.9.9", "--remote-dc", "dc2"}, 2, "--local-dc"},
		{"a local data centre of files", []string{"serve", "--data", "x", "--listen", "127.0.0.1:0", "--local-dc", "dc1"}, 2, "--store cassandra"},
		{"a data centre of files", []string{"serve", "--data", "x", "--remote-dc", "dc2"}, 2, "--store cassandra"},
		{"nobody there", []string{"serve", "--data", "x", "--store", "cassandra", "--cassandra", "127.9.9.9", "--connect-for", "300ms"}, 1, "127.9.9.9"},
		{"bad policies", []string{"serve", "--data", "x", "--policies", nobody}, 2, "rules: is not known"},
		{"policies of a session", []string{"serve", "--data", "x", "--policies", session}, 2, "x-cassandra"},
		{"an upstream that is no address", []string{"serve", "--data", "x", "--membership", "here", "--catalog", "http://x", "--keys", "http://x"}, 2, "--membership \"here\""},
		{"bad plan", []string{"demo", "--plan", plan}, 2, plan},
		{"plan for nobody", []string{"demo", "--plan", nobody}, 2, "nobody.yaml:2:13: error: rules[0].where.dependency: "},
		{"plan that is too long", []string{"demo", "--plan", long}, 2, "long.yaml:2:12: error: rules[0].when.from: is 3m0s, and the load ends after 54s"},
		{"no place for the report", []string{"demo", "--report", busy}, 2, "a folder that can be written"},
		{"a demonstration for all", []string{"demo", "--listen", "0.0.0.0:0"}, 2, "can be reached from elsewhere"},
		{"a demonstration nowhere", []string{"demo", "--listen", "here"}, 2, "give host:port"},
		{"no such store", []string{"demo", "--store", "paper"}, 2, "paper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], c.args...)
			cmd.Env = append(os.Environ(), asCommand+"=1")
			cmd.Dir = t.TempDir()
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != c.want || !strings.Contains(string(out), c.says) {
				t.Errorf("status %d, want %d and %q: %v\n%s", got, c.want, c.says, err, out)
			}
		})
	}
}
