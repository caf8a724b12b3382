package demo

import (
	"context"
	"sync"
	"time"

	"github.com/backstay-go/backstay/chaos/scenario"
)

// quietRate is how many requests per second go on after the verdict, so that a fault that is
// injected on the page has something to harm.
const quietRate = 20

// quietFrom is the number of the first of them. The requests of the run have lower numbers.
const quietFrom = 1_000_000

// quietLoad sends requests until the context ends, and then waits for their answers. Nothing
// of it is judged: the verdict stands.
func quietLoad(ctx context.Context, v scenario.View) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(time.Second / quietRate)
	defer tick.Stop()
	permits := make(chan struct{}, 4*quietRate)
	for n := quietFrom; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case permits <- struct{}{}:
			wg.Go(func() {
				defer func() { <-permits }()
				v.System.Send(ctx, n)
			})
		default: // So many wait for answers that one more would show nothing new.
		}
	}
}
