package resp

import (
	"slices"

	"kvd/command"
	"kvd/resp/wire"
	"kvd/transport"
)

// session is RESP's side of a connection: it is fed with bytes and yields
// bytes, and does not know its transport.
type session struct {
	p    *Protocol
	st   *transport.State
	scan wire.Scanner
}

// lookAhead is how many commands of a pipeline are read before the first of
// them runs, so that their cache misses can be taken side by side.
const lookAhead = 16

// lookAheadArgs is the most arguments of a command that is read ahead.
const lookAheadArgs = 64

// Need is what the command in progress still wants; see [transport.Session].
func (s *session) Need() int { return s.scan.Need() }

// Kept is the memory of what Run has used up of a command in progress; see
// [transport.Session].
func (s *session) Kept() int { return s.scan.Kept() }

// Forget drops the arguments of the last command.
func (s *session) Forget() { s.scan.Forget() }

// Run runs the complete commands of buf; see [transport.Session].
func (s *session) Run(x *command.Exec, w *wire.Writer, buf []byte) (used int) {
	st := s.st
	lim := wire.Limits{MaxBulk: s.p.maxBulk.Load(), Authenticated: !s.p.cmd.Unknown(st.Client)}
	ahead, args := x.Ahead, x.AheadArgs
	defer func() {
		clear(args) // they would keep the input alive
		x.Ahead, x.AheadArgs = ahead[:0], args[:0]
	}()
	for used < len(buf) && !st.Parked && !st.Closing && !st.Stalled {
		if len(w.Buf) >= st.Most {
			st.More = true
			return used
		}
		ahead, args = ahead[:0], args[:0]
		pos := used
		var fail error
		more, kept := false, 0
		for len(ahead) < lookAhead && pos < len(buf) {
			inline := buf[pos] != '*'
			n, status, err := s.scan.Scan(buf[pos:], &lim)
			if status == wire.More {
				more, kept = true, n
				break
			}
			if status == wire.Error {
				fail = err
				break
			}
			pos += n
			if len(s.scan.Args) == 0 {
				if len(ahead) == 0 {
					used = pos
				} else {
					ahead[len(ahead)-1].End = pos
				}
				continue
			}
			if len(ahead) == 0 && pos == len(buf) || len(s.scan.Args) > lookAheadArgs {
				// The only command, or a long one: its arguments stay where they are.
				ahead = slices.Grow(ahead, 1)[:len(ahead)+1]
				ahead[len(ahead)-1].Set(s.scan.Args, pos)
				break
			}
			from := len(args)
			args = append(args, s.scan.Args...)
			ahead = slices.Grow(ahead, 1)[:len(ahead)+1]
			ahead[len(ahead)-1].Set(args[from:len(args):len(args)], pos)
			if !lim.Authenticated || inline {
				break // AUTH changes what may follow; unquoted arguments lie in the scanner's own memory
			}
		}
		if len(ahead) > 1 {
			x.Foresee(st.Client, ahead)
		}
		run := 0
		for i := range ahead {
			p := &ahead[i]
			own := s.scan.Own() && len(ahead) == 1 && !more
			if x.Own = own; own {
				x.Buffer = nil
			}
			out := x.RunPending(st.Client, p, w)
			x.Own = false
			if own && out == command.Again {
				st.Client.Ran(1, 0)
				st.Parked = true
				s.scan.Hold()
				return used
			}
			if own { // nothing else is to refer to them
				end := p.End
				s.scan.Reset()
				x.Forget()
				p.Set(nil, end)
			}
			if out != command.Again {
				used = p.End
				run++
			}
			if out == command.Done {
				if len(w.Buf) < st.Most || i+1 == len(ahead) {
					continue
				}
				st.More = true
				s.scan.Reset()
				st.Client.Ran(len(ahead), run)
				return used
			}
			st.Client.Ran(len(ahead), run)
			st.Parked, st.Closing = out != command.Close, out == command.Close
			s.scan.Reset() // what was read ahead is read again
			return used
		}
		if run > 0 {
			st.Client.Ran(len(ahead), run)
		}
		lim.Authenticated = !s.p.cmd.Unknown(st.Client)
		if fail != nil {
			s.p.cmd.Log.Verbosef("Protocol error (%s) from client: id=%d addr=%s", fail, st.Client.ID, st.Client.Addr)
			w.Error(fail.Error())
			st.Closing = true
			return len(buf)
		}
		if more {
			return pos + kept
		}
	}
	return used
}
