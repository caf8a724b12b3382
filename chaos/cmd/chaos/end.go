package main

import (
	"fmt"
	"time"
)

// endWithin bounds how long a proxy may take to end its connections. It takes only an instant,
// unless nobody reads the output of the command: printing a fault then blocks, and so does
// the connection of that fault.
const endWithin = 3 * time.Second

// end closes a proxy. It gives up after endWithin, because the end of the process ends the
// remaining connections anyway.
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
