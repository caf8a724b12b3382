// Package cluster runs real Cassandra nodes on this machine, without containers, and applies
// faults to them: stop, drain, kill -9, pause, CQL off, a full disk, a network partition. It
// also undoes them.
//
//	c, err := cluster.Start(ctx, cluster.Config{Nodes: 3})
//	defer c.Close()
//	hosts := c.Hosts() // 127.0.23.1, 127.0.23.2, 127.0.23.3, port 9042
//	err = c.Node(2).Pause()
//	err = c.WaitSeen(ctx, c.Node(2), false)
//
// It needs Linux, Java 17 and, the first time, Maven, which fetches Cassandra's jars into a
// cache folder. Each cluster reserves a block of loopback addresses, so that several clusters
// can run at the same time. The nodes end with the process that started them, however that
// process ends.
//
// It may import the standard library and chaos.
//
// It promises: Start returns nodes that answer CQL and see each other, or else an error that
// says what is missing, and then nothing is left running. Close leaves nothing behind. If the
// owner of a cluster is killed, the next cluster of the same user removes what it left (a
// folder, mounted disks, networks). The list of such leftovers is in /tmp/backstay-UID.
package cluster
