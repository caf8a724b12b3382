package main

import (
	"fmt"
	"time"
)

// endWithin bounds how long a proxy takes to end its connections. It takes an instant, unless
// somebody does not read what the command prints, which holds the connections whose faults
// it was to print.
const endWithin = 3 * time.Second

// end closes a proxy, or gives up: the end of the process ends what is left.
func end(name string, close func() error) error {
	closed := make(chan error, 1)
	go func() { closed <- close() }()
	late := time.NewTimer(endWithin)
	defer late.Stop()
	select {
	case err := <-closed:
		return err
	case <-late.C:
		return fmt.Errorf("%s: connections did not end within %s; is somebody reading the standard output?", name, endWithin)
	}
}
