package transfer

// Client is a connection to a server for whoever only asks.
type Client struct{ c *conn }

// Dial connects to an address; login is as in ParseAddress.
func Dial(address, login string) (*Client, error) {
	a, err := ParseAddress(address, login)
	if err != nil {
		return nil, err
	}
	c, err := a.dial()
	if err != nil {
		return nil, err
	}
	return &Client{c}, nil
}

// Text is the reply to a command that replies a string.
func (c *Client) Text(args ...string) (string, error) {
	r, err := c.c.do(args...)
	return string(r.str), err
}

// Close ends the connection.
func (c *Client) Close() { c.c.Close() }
