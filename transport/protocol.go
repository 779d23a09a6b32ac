package transport

import (
	"crypto/tls"

	"kvd/command"
	"kvd/resp/wire"
)

// Protocol is what clients of a listener speak. It turns the bytes of a
// connection into commands and their replies into bytes; it knows no socket, no
// loop and no other connection. One Protocol serves all its connections, from
// several goroutines at once.
//
// docs/adding-a-protocol.md shows how one is written.
type Protocol interface {
	// Open returns the protocol's side of a new connection. It may keep st,
	// which it shares with the transport.
	Open(st *State) Session
	// Refusal returns the bytes that tell a client why it is not served, before
	// its connection is closed. The text begins with an error code ("ERR max
	// number of clients reached") and has no line end. nil tells it nothing.
	Refusal(text string) []byte
}

// Session is the protocol's side of one connection. Calls of its methods never
// overlap, and all but Need and Kept are made once for each batch of input, not for each
// command.
type Session interface {
	// Run runs the complete commands at the start of buf, in order, and returns
	// how many bytes they took. The transport keeps the rest and gives it to Run
	// again, with more behind it. Run appends replies to w.Buf and runs commands
	// on x (Exec.RunPending, which takes the locks); it must neither wait nor
	// keep buf, w or x.
	//
	// Run returns early, with what it has used so far,
	//   - when w.Buf has grown to State.Most bytes; it sets State.More then, and
	//     the transport calls it again when the output is sent;
	//   - when a command parked the client (command.Parked); it sets
	//     State.Parked, and goes on when the transport has cleared that, that is
	//     when somebody has called Deliver with the reply;
	//   - when the connection is to be closed behind the output; it sets
	//     State.Closing.
	// It runs nothing while State.Parked, State.Closing or State.Stalled is set.
	Run(x *command.Exec, w *wire.Writer, buf []byte) (used int)
	// Need returns how many bytes the command at the start of what Run has left
	// still wants, as far as is known, else 0. The transport makes room for them
	// at once: a session must not believe a length that the client has only
	// announced for more than it is ready to pay.
	Need() int
	// Kept returns how much memory a request takes that is not complete and of which
	// Run has used up a part: the limits of input count it.
	Kept() int
	// Forget drops what refers to the input, which may have been long.
	Forget()
}

// State is what the transport and a session both know of a connection. Only the
// goroutine that runs the connection touches it.
type State struct {
	Client *command.Client

	// Most is the length of output at which Run stops; the transport sets it.
	Most int

	Parked  bool // a command waits: nothing runs before its reply comes
	Closing bool // the connection is closed once the output is sent
	More    bool // input is left because the output is to be sent first
	Stalled bool // nothing runs before the client has taken what waits for it
}

// Endpoint says where the clients of a protocol come in over TCP: on a port at
// each address of the bind directive.
type Endpoint struct {
	Protocol Protocol
	// Directive names the port, and CONFIG SET of it moves the listeners; Port is
	// its value, 0 for none.
	Directive string
	Port      func() int
	// Unix is the path of a Unix socket on which it listens, too; nil or "": none.
	Unix func() string
	// Kind stands for the endpoint in what the log says: "TCP".
	Kind string

	// TLS is the configuration for the next connection; nil for plain text. It
	// may read files: it is asked on a goroutine of the handshake's.
	TLS func() (*tls.Config, error)
	// Certified, if not nil, is told of a client over TLS before its first
	// command runs.
	Certified func(c *command.Client, st tls.ConnectionState)
}
