package headers

import (
	"math"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNamesAreCanonical(t *testing.T) {
	for _, name := range []string{Timeout, Criticality, Attempt, Refused} {
		if name != http.CanonicalHeaderKey(name) {
			t.Errorf("%q is not in canonical form", name)
		}
	}
}

func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"250", 250 * time.Millisecond, true},
		{" 1 ", time.Millisecond, true},
		{"0", 0, true},
		{"-5", 0, true},
		{"9223372036854775807", MaxTimeout, true},
		{"9223372036854775808", 0, false},
		{"", 0, false}, {"1.5", 0, false}, {"1s", 0, false}, {"1, 2", 0, false},
	} {
		if got, ok := ParseTimeout(c.text); got != c.want || ok != c.ok {
			t.Errorf("%q: %v, %v, want %v, %v", c.text, got, ok, c.want, c.ok)
		}
	}
	for left, want := range map[time.Duration]string{
		1999 * time.Microsecond: "1", time.Second: "1000", 0: "1", -time.Hour: "1", math.MaxInt64: "864000000",
	} {
		if got := FormatTimeout(left); got != want {
			t.Errorf("%v is written %q, want %q", left, got, want)
		}
	}
}

func TestAttempt(t *testing.T) {
	for _, c := range []struct {
		text  string
		n     int
		hedge bool
		ok    bool
	}{
		{"1", 1, false, true}, {"2;hedge", 2, true, true}, {" 3 ; Hedge ", 3, true, true}, {"2;later;hedge", 2, true, true},
		{"2;later", 2, false, true}, {"", 0, false, false}, {"0", 0, false, false}, {"-1", 0, false, false},
		{";hedge", 0, false, false}, {"x", 0, false, false}, {"99999999999", 0, false, false},
	} {
		if n, hedge, ok := ParseAttempt(c.text); n != c.n || hedge != c.hedge || ok != c.ok {
			t.Errorf("%q: %d, %v, %v, want %d, %v, %v", c.text, n, hedge, ok, c.n, c.hedge, c.ok)
		}
	}
}

func TestReason(t *testing.T) {
	for text, want := range map[string]Reason{"overload": Overload, "Deadline": Deadline, " draining ": Draining, "else": "else"} {
		if got, ok := ParseReason(text); got != want || !ok {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	if _, ok := ParseReason(" "); ok {
		t.Error("an empty text is a refusal")
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, h := rapid.IntRange(1, math.MaxInt32).Draw(t, "number"), rapid.Bool().Draw(t, "hedge")
		if gotN, gotH, ok := ParseAttempt(FormatAttempt(n, h)); gotN != n || gotH != h || !ok {
			t.Errorf("%d, %v, %v", gotN, gotH, ok)
		}
		left := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(MaxTimeout)).Draw(t, "left"))
		if got, ok := ParseTimeout(FormatTimeout(left)); got != left.Truncate(time.Millisecond) || !ok {
			t.Errorf("%v was read as %v, %v", left, got, ok)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "1", "2;hedge", "overload", "-1", ";;;", "9223372036854775807"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if left, ok := ParseTimeout(text); left < 0 || left > MaxTimeout || !ok && left != 0 {
			t.Errorf("timeout %v, %v", left, ok)
		}
		if n, _, ok := ParseAttempt(text); ok != (n >= 1) {
			t.Errorf("attempt %d, %v", n, ok)
		}
		if r, ok := ParseReason(text); ok != (r != "") {
			t.Errorf("reason %q, %v", r, ok)
		}
	})
}
