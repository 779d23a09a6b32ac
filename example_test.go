package kvd_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/tidwall/redcon"

	"kvd"
)

// A server in memory, used by Go calls.
func Example() {
	s, err := kvd.Open(kvd.Options{})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	c, err := s.Client()
	if err != nil {
		panic(err)
	}
	c.Do("SET", "greeting", "hello", "EX", "60")
	text, err := c.Do("GET", "greeting").Text()
	fmt.Println(text, err)
	c.Do("HSET", "user", "name", "Ann", "age", "40")
	fmt.Println(c.Do("HGETALL", "user").Value())
	fmt.Println(c.Do("INCR", "user").Err())
	// Output:
	// hello <nil>
	// map[age:40 name:Ann]
	// WRONGTYPE Operation against a key holding the wrong kind of value
}

// Arguments and replies without copies.
func ExampleClient_Call() {
	s, _ := kvd.Open(kvd.Options{})
	defer s.Close()
	c, _ := s.Client()
	ctx := context.Background()
	c.Call(ctx, []byte("RPUSH"), []byte("list"), []byte("a"), []byte("b"))
	r := c.Call(ctx, []byte("LRANGE"), []byte("list"), []byte("0"), []byte("-1"))
	r.Each(func(i int, e kvd.Reply) bool {
		view, _ := e.Bytes() // of the client's memory, until its next call
		fmt.Println(i, string(view))
		return true
	})
	// Output:
	// 0 a
	// 1 b
}

// Time passes as the test wants it to.
func ExampleServer_Advance() {
	s, _ := kvd.Open(kvd.Options{})
	defer s.Close()
	c, _ := s.Client()
	c.Do("SET", "session", "x", "EX", "2592000") // thirty days
	s.Advance(31 * 24 * time.Hour)
	fmt.Println(c.Do("EXISTS", "session").Value())
	// Output: 0
}

// A program that has a redcon server serves kvd's commands besides its own.
func ExampleServer_Redcon() {
	s, _ := kvd.Open(kvd.Options{})
	defer s.Close()
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	h := s.Redcon()
	go redcon.Serve(l, h.ServeRESP, h.Accept, h.Closed)
	defer l.Close()

	nc, _ := net.Dial("tcp", l.Addr().String())
	defer nc.Close()
	fmt.Fprint(nc, "INCR visits\r\n")
	reply, _ := bufio.NewReader(nc).ReadString('\n')
	fmt.Print(reply)
	// Output: :1
}
