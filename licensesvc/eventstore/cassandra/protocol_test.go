package cassandra_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// The append protocol of this package, as a model: one stream in buckets of two
// events, conditional batches that are atomic on a bucket, and requests whose answer
// is lost and that take effect now, later or never. Intents lie in feed buckets; their
// register is changed by conditional statements, of which a quorum may not yet show
// those that nobody was answered. The scheduler picks who goes on by a seed. Each wrong
// variant is one that the search must break.

// variant changes one rule of the protocol.
type variant string

const (
	right               variant = ""
	refusalIsNo         variant = "the refusal of a blind repeat is reported as no"
	newIDOnRepeat       variant = "a repeat has a new commit id"
	absenceIsNo         variant = "absence in a serial read is reported as no"
	newestBucketOnly    variant = "the commit is looked up in the newest bucket only"
	noCommitRow         variant = "the batch does not ask for the commit's row"
	resolveWithoutFence variant = "resolve reports no without a fence"
	oldFenceOnly        variant = "the fence is in the oldest bucket only"
	fenceSealed         variant = "a fence is written to a sealed bucket too, and counts"
	filterEarly         variant = "the filter of a bucket is made before it was read as sealed"
	filterAtQuorum      variant = "the filter of a bucket is made at a quorum, which may lack the newest commit"
	filterOfLastOnly    variant = "only the bucket before the newest is looked into"
	fenceUnanswered     variant = "a fence without an answer is taken for done"
	intentAfter         variant = "the intent is written after the append"
	dropAbsent          variant = "the reader drops an intent whose commit it does not find"
	decideWhileUnknown  variant = "decides again while an attempt is undecided"
	plainFence          variant = "the fence is a plain write"
	limitByReader       variant = "each reader says by its own limit that a bucket is full"
	registerFirst       variant = "the register is read before the intent is written"
	closeAtQuorum       variant = "a close is believed at a quorum"
	noPollAfterClose    variant = "a closed bucket is not read after the close was seen"
	settleOpen          variant = "a bucket is dropped with what is open in it"
	settleUnclosed      variant = "a bucket is dropped before it was closed"
)

var wrong = []variant{
	refusalIsNo, newIDOnRepeat, absenceIsNo, newestBucketOnly, noCommitRow, resolveWithoutFence, oldFenceOnly,
	fenceSealed, filterEarly, filterAtQuorum, filterOfLastOnly,
	fenceUnanswered, intentAfter, dropAbsent, decideWhileUnknown, plainFence, limitByReader,
	registerFirst, closeAtQuorum, noPollAfterClose, settleOpen, settleUnclosed,
}

const bucketLimit = 2

type row struct{ fenced bool }

// intent is one attempt's own: a later one of the same commit has another.
type intent struct {
	id      string
	attempt int
}

type partition struct {
	exists, sealed bool
	head, base     int
	commits        map[string]row
	// before is the filter of the bucket before, stored by the batch that opened this one. The
	// filter of a bucket contains its commits and fences. newest is the last row that was written.
	before map[string]bool
	newest string
}

// model is the cluster and the answers that clients got.
type model struct {
	v       variant
	rng     *rand.Rand
	buckets []*partition
	events  []string // work, by version
	byID    []string // commit id, by version
	late    []func()
	forked  bool
	// feed holds intents by feed bucket, with the version that was expected; nil: the
	// bucket was dropped whole. open is the register; shown is what a quorum shows for
	// sure.
	feed                 []map[intent]int
	open, shown, settled int
	logged               int
	applied              map[string]bool // commit ids reported applied
	no                   map[string]bool // commit ids reported no
	closed               map[string]bool // commit ids that were resolved as not stored, for good
	turn                 chan chan struct{}
	stuck                bool // the schedule is given up
	faults               int

	attempts int
}

func (m *model) bucket(n int) *partition {
	for len(m.buckets) <= n {
		m.buckets = append(m.buckets, &partition{commits: map[string]row{}})
	}
	return m.buckets[n]
}

// request sends what takes effect at once if it is answered. ok is false when nobody
// knows: it took effect, or will, or never does.
func (m *model) request(apply func()) (ok bool) {
	m.step()
	if m.faults == 0 || m.rng.IntN(3) > 0 {
		apply()
		return true
	}
	m.faults--
	switch m.rng.IntN(3) {
	case 0:
		apply()
	case 1:
		m.late = append(m.late, apply)
	}
	return false
}

// step gives the turn back to the scheduler.
func (m *model) step() {
	mine := make(chan struct{})
	m.turn <- mine
	<-mine
	if m.stuck {
		runtime.Goexit()
	}
}

// newest reads the buckets, at SERIAL.
func (m *model) newest() (n int, p partition) {
	m.step()
	limit := 1 + m.rng.IntN(bucketLimit)
	for n = 0; ; n++ {
		b := m.bucket(n)
		full := b.sealed
		if m.v == limitByReader {
			full = b.head-b.base >= limit
		}
		if !full {
			p = *b
			if !b.exists && n > 0 {
				p.head, p.base = m.bucket(n-1).head, m.bucket(n-1).head
			}
			return n, p
		}
	}
}

// find looks a commit up, at SERIAL, one bucket after the other, but not in a sealed one
// whose filter lacks it.
func (m *model) find(id string, upto int, filters []map[string]bool) (found, fenced bool) {
	from := 0
	switch m.v {
	case newestBucketOnly:
		from = upto
	case filterOfLastOnly:
		from = max(0, upto-1)
	}
	for n := from; n <= upto; n++ {
		if n < len(filters) && filters[n] != nil && !filters[n][id] {
			continue
		}
		m.step()
		if r, ok := m.bucket(n).commits[id]; ok {
			if !r.fenced {
				return true, false
			}
			fenced = true
		}
	}
	return false, fenced
}

// filters returns the filters of the buckets before the newest. If that is not open yet, the
// filter of the last one is made from its rows.
func (m *model) filters(n int, p partition) (all []map[string]bool) {
	for i := 1; i <= n; i++ {
		all = append(all, m.bucket(i).before)
	}
	if n > 0 && !p.exists {
		if m.v != filterEarly {
			m.step()
		}
		all[n-1] = m.measured(n - 1)
	}
	return all
}

// measured makes the filter of a bucket.
func (m *model) measured(n int) map[string]bool {
	f := map[string]bool{}
	for id := range m.bucket(n).commits {
		if m.v != filterAtQuorum || id != m.bucket(n).newest || m.rng.IntN(2) == 0 {
			f[id] = true
		}
	}
	return f
}

// batch is the conditional batch of a commit.
func (m *model) batch(n int, p partition, before map[string]bool, id, work string) (apply func(), res *struct{ applied, row, fenced, taken bool }) {
	res = &struct{ applied, row, fenced, taken bool }{}
	return func() {
		b := m.bucket(n)
		r, there := b.commits[id]
		res.row, res.fenced = there, there && r.fenced
		headFits := !b.exists && !p.exists || b.exists && p.exists && b.head == p.head && (!b.sealed || m.v == limitByReader)
		res.taken = b.exists && b.head > p.head
		if !headFits || there && m.v != noCommitRow {
			return
		}
		m.forked = m.forked || p.head != len(m.events)
		if !b.exists {
			b.before = before
		}
		b.exists, b.head, b.base, b.newest = true, p.head+1, p.base, id
		b.sealed = b.head-b.base >= bucketLimit
		b.commits[id] = row{}
		m.events, m.byID = append(m.events, work), append(m.byID, id)
		res.applied = true
	}, res
}

type reported int

const (
	unknown reported = iota
	done
	conflict
	rejected
)

// append is Store.Append.
func (m *model) append(id, work string, expected int) reported {
	if m.v != intentAfter {
		m.attempts++
		m.intend(intent{id, m.attempts}, expected)
	}
	sent, patience := false, m.rng.IntN(3)
	for tries := 0; ; tries++ {
		var early map[string]bool
		if m.v == filterEarly {
			m.step()
			early = m.measured(max(0, len(m.buckets)-1))
		}
		n, p := m.newest()
		filters := m.filters(n, p)
		if early != nil && n > 0 && !p.exists {
			filters[n-1] = early
		}
		if sent || n > 0 {
			found, fenced := m.find(id, n, filters)
			switch {
			case found:
				return done
			case fenced:
				return rejected
			case sent && m.v == absenceIsNo:
				return rejected
			case sent && p.head > expected:
				return conflict
			}
		}
		if p.head != expected && !sent {
			// The batch finds out: it also asks for the commit's row.
			if !p.exists {
				return conflict
			}
			p.head = expected
		}
		if p.head != expected {
			return conflict
		}
		use := id
		if sent && m.v == newIDOnRepeat {
			use = fmt.Sprint(id, "'", tries)
		}
		var before map[string]bool
		if n > 0 {
			before = filters[n-1]
		}
		apply, res := m.batch(n, p, before, use, work)
		answered := m.request(apply)
		switch {
		case !answered:
			sent = true
			if tries >= patience {
				return unknown
			}
		case res.applied:
			return done
		case sent && m.v == refusalIsNo:
			return rejected
		case !sent && res.row && !res.fenced:
			return done
		case !sent && res.row:
			return rejected
		case !sent && res.taken:
			return conflict
		}
	}
}

// resolve is Store.Resolve.
func (m *model) resolve(id string) reported {
	for {
		n, _ := m.newest()
		filters := []map[string]bool{}
		for i := 1; i <= n; i++ {
			filters = append(filters, m.bucket(i).before)
		}
		found, fenced := m.find(id, n, filters)
		switch {
		case found:
			return done
		case fenced, m.v == resolveWithoutFence:
			return rejected
		}
		if m.v == oldFenceOnly {
			n = 0
		}
		var set bool
		fence := func() {
			b := m.bucket(n)
			_, there := b.commits[id]
			if set = (!there || m.v == plainFence) && (!b.sealed || m.v == fenceSealed || m.v == plainFence || m.v == oldFenceOnly); set {
				b.commits[id], b.newest = row{fenced: true}, id
			}
		}
		answered := m.request(fence)
		for !answered && m.v != fenceUnanswered {
			answered = m.request(fence)
		}
		if set || !answered {
			return rejected
		}
	}
}

// put writes an intent, unless its bucket was dropped.
func (m *model) put(bucket int, i intent, expected int) {
	for len(m.feed) <= bucket {
		m.feed = append(m.feed, map[intent]int{})
	}
	if m.feed[bucket] != nil {
		m.feed[bucket][i] = expected
	}
}

// registerAtQuorum may show a change that nobody was answered, or not.
func (m *model) registerAtQuorum() int {
	m.step()
	if m.rng.IntN(2) == 0 {
		return m.open
	}
	return m.shown
}

func (m *model) registerAtSerial() int {
	m.step()
	m.shown = m.open
	return m.open
}

// close closes a bucket, if it is the open one.
func (m *model) close(bucket int) {
	if m.request(func() {
		if m.open == bucket {
			m.open++
		}
	}) {
		m.shown = m.open
	}
}

// intend is Store.intend.
func (m *model) intend(i intent, expected int) {
	bucket := m.shown
	if m.v == registerFirst {
		bucket = m.registerAtQuorum()
	}
	for {
		for !m.request(func() { m.put(bucket, i, expected) }) {
		}
		if m.v == registerFirst {
			break
		}
		now := m.registerAtQuorum()
		if now <= bucket {
			break
		}
		bucket = now
	}
	if m.rng.IntN(2) == 0 {
		m.close(bucket)
	}
}

// read is Store.Feed: bucket after bucket it logs up to the head if there are intents,
// drops those, and settles what is closed.
func (m *model) read() {
	var before []map[intent]int
	if m.v == noPollAfterClose {
		m.step()
		for _, intents := range m.feed {
			before = append(before, maps.Clone(intents))
		}
	}
	open := m.registerAtQuorum
	if m.v != closeAtQuorum {
		open = m.registerAtSerial
	}
	last := open()
	for bucket := m.settled; bucket <= last; bucket++ {
		m.step()
		m.put(bucket, intent{}, 0)
		delete(m.feed[bucket], intent{})
		intents := maps.Clone(m.feed[bucket])
		if m.v == noPollAfterClose {
			intents = nil
			if bucket < len(before) {
				intents = before[bucket]
			}
		}
		left := map[intent]int{}
		m.step()
		for i, expected := range intents {
			if m.head() > expected {
				m.logged = m.head()
			} else if m.v != dropAbsent {
				left[i] = expected
				continue
			}
			delete(m.feed[bucket], i)
		}
		if bucket == last && m.v != settleUnclosed {
			return
		}
		if m.v != settleOpen {
			for _, i := range slices.SortedFunc(maps.Keys(left), func(a, b intent) int { return a.attempt - b.attempt }) {
				m.intend(i, left[i])
			}
		}
		for !m.request(func() { m.feed[bucket] = nil }) {
		}
		m.step()
		m.settled = max(m.settled, bucket+1)
	}
}

func (m *model) head() int { return len(m.events) }

// writer does a piece of work: it decides again when it lost, resolves what is unknown,
// and may crash.
func (m *model) writer(work string) {
	for round := range 3 {
		_, p := m.newest()
		id := fmt.Sprint(work, "#", round)
		got := m.append(id, work, p.head)
		if got == unknown && m.v == decideWhileUnknown {
			continue
		}
		if got == unknown {
			if m.rng.IntN(3) == 0 {
				return // It crashes, and nobody asks.
			}
			got = m.resolve(id)
		}
		if m.v == intentAfter && got == done && m.rng.IntN(4) > 0 {
			m.intend(intent{id, 0}, p.head)
		}
		switch got {
		case done:
			m.applied[id] = true
			return
		case rejected, conflict:
			m.no[id] = true
		}
	}
}

// play runs one schedule and says what is wrong in the end.
func play(v variant, seed uint64) string {
	m := &model{v: v, rng: rand.New(rand.NewPCG(seed, 1)), applied: map[string]bool{}, no: map[string]bool{}, closed: map[string]bool{}, turn: make(chan chan struct{}), faults: 4}
	actors := []func(){func() { m.writer("a") }, func() { m.writer("b") }, func() { m.writer("c") }, func() { m.read(); m.read(); m.read() }, func() { m.read(); m.read() },
		// A device that brings the first commit of a's work once more, later.
		func() {
			if m.append("a#0", "a", 0) == done {
				m.applied["a#0"] = true
			}
		},
		// Two nodes bring one commit, each for the version that it sees. One of them closes it.
		func() {
			_, p := m.newest()
			got := m.append("d#0", "d", p.head)
			if got != done {
				got = m.resolve("d#0")
			}
			m.tell("d#0", got)
		},
		func() {
			_, p := m.newest()
			if m.append("d#0", "d", p.head) == done {
				m.tell("d#0", done)
			}
		}}
	ended := make(chan struct{})
	for _, act := range actors {
		go func() {
			defer func() { ended <- struct{}{} }()
			m.step()
			act()
		}()
	}
	var waiting []chan struct{}
	turns := 0
	for running := len(actors); running > 0 || len(waiting) > 0; turns++ {
		// Everybody that lives waits for a turn before somebody gets it.
		for len(waiting) < running {
			select {
			case w := <-m.turn:
				waiting = append(waiting, w)
			case <-ended:
				running--
			}
		}
		if running == 0 {
			break
		}
		// A wrong variant may never settle a commit. Nobody runs now, so nobody reads it.
		if turns == mostTurns {
			m.stuck = true
		}
		if len(m.late) > 0 && m.rng.IntN(4) == 0 {
			m.arrive()
		}
		i := m.rng.IntN(len(waiting))
		w := waiting[i]
		waiting = append(waiting[:i], waiting[i+1:]...)
		close(w)
	}
	if m.stuck {
		return "it does not end"
	}
	for len(m.late) > 0 {
		m.arrive()
	}
	return m.judge()
}

// mostTurns is far more than any schedule of a protocol that ends needs.
const mostTurns = 100_000

// tell notes the answer of resolve.
func (m *model) tell(id string, got reported) {
	switch got {
	case done:
		m.applied[id] = true
	case rejected:
		m.closed[id] = true
	}
}

// arrive lets a late request take effect.
func (m *model) arrive() {
	i := m.rng.IntN(len(m.late))
	apply := m.late[i]
	m.late = append(m.late[:i], m.late[i+1:]...)
	apply()
}

func (m *model) judge() string {
	if m.forked {
		return "two commits have one version"
	}
	works, ids := map[string]int{}, map[string]int{}
	for i, work := range m.events {
		works[work]++
		ids[m.byID[i]]++
	}
	for id, n := range ids {
		if n > 1 {
			return fmt.Sprintf("commit %s is in the stream %d times", id, n)
		}
		if m.closed[id] {
			return fmt.Sprintf("commit %s was resolved as not stored, and is there", id)
		}
		if m.no[id] && !m.applied[id] {
			return fmt.Sprintf("commit %s was reported no, and is there", id)
		}
	}
	for work, n := range works {
		if n > 1 {
			return fmt.Sprintf("work %s was done %d times", work, n)
		}
	}
	for id := range m.applied {
		if ids[id] == 0 {
			return fmt.Sprintf("commit %s was reported applied, and is not there", id)
		}
	}
	// One more reading delivers everything, or nothing ever will.
	for _, intents := range m.feed[min(m.settled, len(m.feed)):] {
		for _, expected := range intents {
			if m.head() > expected {
				m.logged = m.head()
			}
		}
	}
	if m.logged < m.head() {
		return fmt.Sprintf("the feed ends at %d, the stream at %d", m.logged, m.head())
	}
	return ""
}

func TestTheProtocolHoldsInEverySchedule(t *testing.T) {
	for seed := range uint64(30_000) {
		if bad := play(right, seed); bad != "" {
			t.Fatalf("seed %d: %s", seed, bad)
		}
	}
}

func TestEachWrongVariantIsCaught(t *testing.T) {
	for _, v := range wrong {
		t.Run(string(v), func(t *testing.T) {
			for seed := range uint64(200_000) {
				if bad := play(v, seed); bad != "" {
					t.Logf("seed %d: %s", seed, bad)
					return
				}
			}
			t.Error("no schedule shows what is wrong with it")
		})
	}
}
