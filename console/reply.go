package console

import (
	"context"

	"kvd/resp/wire"
)

const (
	replyElements = 1000      // of a reply; the page says that there are more
	replyBytes    = 256 << 10 // of all its texts
)

// replyShown is a reply as the page gets it.
type replyShown struct {
	Kind  string       `json:"kind"` // see wire.Reply.Kind; "_" is null in either protocol
	Text  *text        `json:"text,omitempty"`
	Items []replyShown `json:"items,omitempty"`
	Len   int          `json:"len,omitempty"` // of items, where some are cut off
}

// room is what a reply may still take.
type room struct{ elements, bytes int }

// reply is a reply for the page: an error is one like others, and what is too much is cut off.
func (c *Console) reply(r wire.Reply) (any, error) {
	return c.replyIn(&room{replyElements, replyBytes}, r)
}

// replyIn is reply with another room.
func (c *Console) replyIn(left *room, r wire.Reply) (any, error) {
	switch r.Kind() {
	case 0:
		return nil, r.Err()
	case '-', '!':
		if e, ok := r.Err().(wire.ReplyError); ok && (e.Code() == "NOAUTH") {
			return nil, e
		}
	}
	return left.shown(r), nil
}

func (left *room) shown(r wire.Reply) replyShown {
	left.elements--
	if r.IsNull() {
		return replyShown{Kind: "_"}
	}
	out := replyShown{Kind: string(rune(r.Kind()))}
	switch r.Kind() {
	case '*', '~', '>', '%':
		_ = r.Each(func(i int, e wire.Reply) bool {
			if left.elements <= 0 || left.bytes <= 0 {
				out.Len = r.Len()
				return false
			}
			out.Items = append(out.Items, left.shown(e))
			return true
		})
		return out
	}
	b, err := r.Bytes()
	if err != nil {
		b = []byte(err.Error())
	}
	t := textOf(b[:min(len(b), left.bytes)])
	if len(t.Bytes) < len(b) {
		t.Len = len(b)
	}
	left.bytes -= len(t.Bytes)
	out.Text = &t
	return out
}

// contextFor ends a command that waits for too long.
func contextFor(k *call) (context.Context, context.CancelFunc) {
	return context.WithTimeout(k.r.Context(), commandTime)
}
