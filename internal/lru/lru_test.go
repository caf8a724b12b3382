package lru_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/backstay-go/backstay/internal/lru"
	"pgregory.net/rapid"
)

var start = time.Unix(1_000_000, 0)

// kept is one entry of the model, which is a plain list, most recently used first.
type kept struct {
	key     string
	value   int
	size    int64
	expires time.Time
}

// TestCacheIsItsModel drives the cache and a list that is read in full each time.
func TestCacheIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bounds := lru.Bounds{Entries: rapid.IntRange(0, 5).Draw(t, "entries"), Size: rapid.Int64Range(0, 30).Draw(t, "size")}
		var dropped, wantDropped []string
		c := lru.New(bounds, func(k string, v int) { dropped = append(dropped, fmt.Sprint(k, v)) })
		var model []kept
		now := start
		find := func(key string) int { return slices.IndexFunc(model, func(k kept) bool { return k.key == key }) }
		drop := func(i int) {
			wantDropped = append(wantDropped, fmt.Sprint(model[i].key, model[i].value))
			model = slices.Delete(model, i, i+1)
		}
		expire := func() {
			for i := len(model) - 1; i >= 0; i-- {
				if e := model[i].expires; !e.IsZero() && !e.After(now) {
					drop(i)
				}
			}
		}
		total := func() (sum int64) {
			for _, k := range model {
				sum += k.size
			}
			return sum
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k := kept{key: rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}).Draw(t, "key"),
					value: rapid.IntRange(0, 99).Draw(t, "value"), size: rapid.Int64Range(0, 20).Draw(t, "size")}
				if rapid.Bool().Draw(t, "expires") {
					k.expires = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "in")) * time.Second)
				}
				stored := c.Put(k.key, k.value, k.size, k.expires, now)
				expire()
				if i := find(k.key); i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
				fits := (bounds.Size == 0 || k.size <= bounds.Size) && (k.expires.IsZero() || k.expires.After(now))
				if stored != fits {
					t.Fatalf("stored %v; want %v", stored, fits)
				}
				if fits {
					model = slices.Insert(model, 0, k)
				}
				for bounds.Entries > 0 && len(model) > bounds.Entries || bounds.Size > 0 && total() > bounds.Size {
					drop(len(model) - 1)
				}
			},
			"get": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{"a", "b", "c", "z"}).Draw(t, "key")
				i := find(key)
				peeked, found := c.Peek(key)
				v, ok := c.Get(key)
				if ok != (i >= 0) || found != ok || peeked != v || ok && v != model[i].value {
					t.Fatalf("Get(%s) = %d, %v", key, v, ok)
				}
				if ok {
					k := model[i]
					model = slices.Insert(slices.Delete(model, i, i+1), 0, k)
				}
			},
			"delete": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{"a", "b", "z"}).Draw(t, "key")
				i := find(key)
				if got := c.Delete(key); got != (i >= 0) {
					t.Fatalf("Delete(%s) = %v", key, got)
				}
				if i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "for")) * time.Second)
				c.Expire(now)
				expire()
			},
			"": func(t *rapid.T) {
				var got, want []string
				for k, v := range c.All() {
					got = append(got, fmt.Sprint(k, v))
				}
				for _, k := range model {
					want = append(want, fmt.Sprint(k.key, k.value))
				}
				if !slices.Equal(got, want) || c.Len() != len(model) || c.Size() != total() {
					t.Fatalf("holds %v, %d, size %d; want %v, size %d", got, c.Len(), c.Size(), want, total())
				}
				slices.Sort(dropped)
				slices.Sort(wantDropped)
				if !slices.Equal(dropped, wantDropped) {
					t.Fatalf("dropped %v; want %v", dropped, wantDropped)
				}
			},
		})
	})
}

// TestSizesDoNotWrap: two entries of the largest size add up to more than int64 holds.
func TestSizesDoNotWrap(t *testing.T) {
	c := lru.New[int, int](lru.Bounds{Size: math.MaxInt64}, nil)
	c.Put(1, 1, math.MaxInt64, time.Time{}, start)
	c.Put(2, 2, math.MaxInt64, time.Time{}, start)
	if _, ok := c.Get(1); ok || c.Len() != 1 || c.Size() != math.MaxInt64 {
		t.Errorf("%d entries of size %d", c.Len(), c.Size())
	}
}

func TestAllMayStopAndDelete(t *testing.T) {
	c := new(lru.Cache[int, int])
	for i := range 4 {
		c.Put(i, i, 1, time.Time{}, start)
	}
	for k := range c.All() {
		c.Delete(k)
		if k == 2 {
			break
		}
	}
	if c.Len() != 2 {
		t.Errorf("%d entries; want 2", c.Len())
	}
}
