package server

import (
	"bytes"
	"testing"
)

// FuzzFrames: the same frames are seen however the bytes are cut, and between says
// where one ends.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 4, 0, 1, 0, 0, 0, 1, 'b', 'o', 'd', 'y', 0, 0, 0, 4, 1, 0, 0, 0, 0}, uint8(3))
	f.Add(farewell, uint8(1))
	f.Add([]byte{0, 1, 0, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, p []byte, step uint8) {
		read := func(step int) (seen [][]byte, end bool) {
			var fr frames
			for rest := p; len(rest) > 0; {
				n := min(step, len(rest))
				fr.follow(rest[:n], func() {
					seen = append(seen, append([]byte{fr.kind(), fr.flags(), byte(fr.stream())}, fr.begin[:fr.began]...))
				})
				rest = rest[n:]
			}
			return seen, fr.between()
		}
		whole, end := read(len(p) + 1)
		cut, cutEnd := read(int(step)%9 + 1)
		if end != cutEnd || !bytes.Equal(bytes.Join(whole, []byte{0}), bytes.Join(cut, []byte{0})) {
			t.Errorf("whole: %q, %v; cut: %q, %v", whole, end, cut, cutEnd)
		}
		// By hand: how far whole frames reach.
		n := 0
		for rest := p; len(rest) >= 9; n++ {
			size := 9 + int(rest[0])<<16 + int(rest[1])<<8 + int(rest[2])
			if size > len(rest) {
				break
			}
			rest = rest[size:]
		}
		if n != len(whole) {
			t.Errorf("%d frames, want %d", len(whole), n)
		}
	})
}
