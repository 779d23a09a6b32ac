// Command redcon is a server made with redcon, with a command of its own, that has kvd's
// commands and data mounted in it.
package main

import (
	"flag"
	"log"
	"strings"

	"github.com/tidwall/redcon"

	"kvd"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:6380", "where to listen")
	flag.Parse()
	s, err := kvd.Open(kvd.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	h := s.Redcon()
	h.Handler = func(conn redcon.Conn, cmd redcon.Command) {
		if strings.EqualFold(string(cmd.Args[0]), "hello.own") && len(cmd.Args) == 2 {
			conn.WriteBulkString("hello, " + string(cmd.Args[1]))
			return
		}
		h.ServeRESP(conn, cmd)
	}
	log.Printf("listening on %s", *listen)
	if err := redcon.ListenAndServe(*listen, h.Handler, h.Accept, h.Closed); err != nil {
		log.Fatal(err)
	}
}
