package main

import (
	"fmt"
	"os"
)

func main() {
	for _, c := range []struct {
		name          string
		size, callers int
	}{{"1 KB, one caller", 1 << 10, 1}, {"1 KB, 16 callers", 1 << 10, 16}} {
		r, err := compare(c.name, c.size, c.callers, 800, 40, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%s: bare %.0f ns (cpu %.0f), guarded %.0f ns (cpu %.0f), throughput x %.3f, by cpu x %.3f\n", r.name, r.bare.wall, r.bare.cpu, r.guarded.wall, r.guarded.cpu, r.wall, r.cpu)
	}
}
