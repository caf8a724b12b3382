// Package cluster runs real Cassandra nodes on this machine, without containers,
// and harms them: stop, drain, kill -9, pause, CQL off, a disk that fills, a network
// that parts, and back.
//
//	c, err := cluster.Start(ctx, cluster.Config{Nodes: 3})
//	defer c.Close()
//	hosts := c.Hosts() // 127.0.23.1, 127.0.23.2, 127.0.23.3, port 9042
//	err = c.Node(2).Pause()
//	err = c.WaitSeen(ctx, c.Node(2), false)
//
// It needs Linux, Java 17 and, the first time, Maven, which fetches Cassandra's jars
// into a cache folder. Each cluster takes a block of loopback addresses of its own,
// so that several can run side by side. Nodes belong to the process that started
// them: they end with it, however it ends.
//
// It may import the standard library and chaos.
//
// It promises: Start returns nodes that answer CQL and see each other, or an error
// that says what is missing, with nothing left running; Close leaves nothing behind.
// What an owner who was killed leaves behind (a folder, mounted disks, networks) the next
// cluster of the same user removes; their list is in /tmp/backstay-UID.
package cluster
