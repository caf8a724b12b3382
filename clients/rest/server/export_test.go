package server

// Taken is the number of connections that are known to be taken over.
func Taken(s *Server) int { return s.conns.taken() }
