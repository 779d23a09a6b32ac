package console

import "time"

// Age makes all sessions as if they had been used last so much earlier.
func (c *Console) Age(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		s.used = s.used.Add(-d)
	}
}

// What tests go by.
const (
	MaxSessions  = maxSessions
	MaxRequest   = maxRequest
	MaxAtOnce    = maxAtOnce
	IdleSession  = idleSession
	FirstFailure = firstFailure
)
