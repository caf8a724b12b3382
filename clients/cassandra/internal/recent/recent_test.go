package recent

import "testing"

// TestWhatIsUsedStaysAndTheRestGoes: a key that is asked for now and then outlives any
// number of keys that are used once, and those do not fill the memory.
func TestWhatIsUsedStaysAndTheRestGoes(t *testing.T) {
	var m Map[int, int]
	m.Put(-1, 42)
	for i := range 10 * Limit {
		m.Put(i, i)
		if v, ok := m.Get(i); !ok || v != i {
			t.Fatalf("%d: %d, %v", i, v, ok)
		}
		if i%(Limit/2) == 0 {
			if v, ok := m.Get(-1); !ok || v != 42 {
				t.Fatalf("after %d others: %d, %v", i, v, ok)
			}
		}
		if n := m.Len(); n > 2*Limit {
			t.Fatalf("%d keys are remembered", n)
		}
	}
	if _, ok := m.Get(0); ok {
		t.Error("a key that was used once is remembered for ever")
	}
}
